"""Probes of what the service and its users depend on: targets, how each kind is checked, when, and what came of it."""
