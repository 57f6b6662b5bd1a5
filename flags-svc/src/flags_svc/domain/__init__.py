"""What flags are to those who manage them: values and decisions without I/O."""
