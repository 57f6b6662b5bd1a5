"""Skills as people write them, and as they are compared."""


def normalized(text: str) -> str:
    """Return ``text`` in the form in which equal skills are equal: one case, single spaces."""
    return " ".join(text.split()).casefold()
