"""Questions that worked elsewhere and things to learn from, found by meaning."""
