"""Channels: how a message reaches somebody."""
