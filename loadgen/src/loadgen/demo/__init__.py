"""Plausible history for a suite that has none: a story, told as events of the past."""
