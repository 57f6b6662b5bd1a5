"""windsock_kit."""
