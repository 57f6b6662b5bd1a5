"""Two layers of cache, and one maker for what several ask for at once."""
