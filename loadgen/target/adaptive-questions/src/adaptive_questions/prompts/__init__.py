"""What the model is told, and the form of what it answers."""
