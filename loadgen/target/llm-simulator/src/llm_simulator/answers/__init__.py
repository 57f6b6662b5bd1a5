"""What the models write: pure functions of seed, model and prompt."""
