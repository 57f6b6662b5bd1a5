"""What is served: parse, one call, render."""
