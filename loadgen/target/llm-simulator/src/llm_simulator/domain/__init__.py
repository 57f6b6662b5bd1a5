"""What a provider does, as values and pure functions: no I/O, no clock, no randomness."""
