"""What is in force in this process, how it gets there, and who else is told."""
