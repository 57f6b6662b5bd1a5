"""Embeddings that place like skills together."""
