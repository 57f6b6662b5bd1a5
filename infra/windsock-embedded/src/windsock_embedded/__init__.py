"""windsock_embedded."""
