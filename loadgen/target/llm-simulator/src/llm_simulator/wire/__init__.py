"""JSON in and out: the only modules that know names on the wire."""
