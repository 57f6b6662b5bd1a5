"""Flags as other tools write them."""
