"""What the launcher tells the user instead of a traceback."""


class EmbeddedError(Exception):
    """One line for the terminal: what is wrong and what to do about it."""
