"""JSON and domain values: the only place that knows the names on the wire."""
