"""JSON to values and back: the only modules that know the names on the wire."""
