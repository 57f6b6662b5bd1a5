"""OTLP in, events out: the two encodings, the names of three generations, the arithmetic of points. No I/O, no clock."""
