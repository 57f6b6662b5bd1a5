"""Integrations with other libraries, each in a module of its own: import the one that you use."""
