"""windsock."""
