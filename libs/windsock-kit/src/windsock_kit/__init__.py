"""Plumbing that every Windsock service shares: no product noun, no SQL, no settings."""
