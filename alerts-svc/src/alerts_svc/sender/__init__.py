"""Delivers what is in the outbox, each channel at its own pace."""
