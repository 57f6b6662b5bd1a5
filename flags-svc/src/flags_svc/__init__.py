"""Keeps flags, and has every change of them in force everywhere within a blink."""
