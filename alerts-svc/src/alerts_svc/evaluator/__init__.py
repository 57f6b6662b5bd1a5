"""Asks what is measured, holds it against the rules, and commits what follows: the only one that decides."""
