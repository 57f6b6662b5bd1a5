"""Rules, alerts, silences and what is to be told of them: pure values, no I/O, no clock, no randomness."""
