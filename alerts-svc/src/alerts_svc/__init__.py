"""Evaluates rules on what metrics-svc measures, and tells on-call once, in time."""
