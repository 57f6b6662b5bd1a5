"""Names on the wire: what requests may say, what answers and problems look like."""
