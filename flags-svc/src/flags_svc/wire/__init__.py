"""How things travel: reading what was sent, and rendering what is answered."""
