"""What the launcher prints: a line for each part, plain where the output is no terminal."""

import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from typing import TextIO

# Of the longest name of a part.
NAME_WIDTH = 18


class Progress:
    """Prints what happens to the parts of the stack."""

    def __init__(self, out: TextIO | None = None) -> None:
        self._out = out or sys.stdout
        self._live = self._out.isatty()

    @contextmanager
    def part(self, name: str, detail: str, *, since: float | None = None) -> Generator[None]:
        """Show that ``name`` is under way and, at the end of the block, that it is ready.

        ``since`` is when it was started (monotonic), where that was before the block.
        """
        started = time.monotonic() if since is None else since
        if self._live:
            self._write(f"  {name:<{NAME_WIDTH}} …", end="")
        try:
            yield
        except BaseException:
            if self._live:
                self._write("\r\033[K", end="")
            raise
        seconds = f"{time.monotonic() - started:.1f} s"
        start = "\r" if self._live else ""
        self._write(f"{start}  {name:<{NAME_WIDTH}} ready  {seconds:>6}  {detail}")

    def say(self, text: str) -> None:
        self._write(text)

    def _write(self, text: str, end: str = "\n") -> None:
        try:
            print(text, end=end, file=self._out, flush=True)
        except OSError:
            # The terminal is gone; the stack must still be stopped in order.
            self._live = False
