"""What the launcher prints: a line for each part, plain where the output is no terminal."""

import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from typing import TextIO


class Progress:
    """Prints what happens to the parts of the stack."""

    def __init__(self, out: TextIO | None = None) -> None:
        self._out = out or sys.stdout
        self._live = self._out.isatty()

    @contextmanager
    def part(self, name: str, detail: str) -> Generator[None]:
        """Show that ``name`` is under way and, at the end of the block, that it is ready."""
        started = time.monotonic()
        if self._live:
            self._write(f"  {name:<12} …", end="")
        try:
            yield
        except BaseException:
            if self._live:
                self._write("\r\033[K", end="")
            raise
        seconds = f"{time.monotonic() - started:.1f} s"
        self._write(f"{chr(13) if self._live else ''}  {name:<12} ready  {seconds:>6}  {detail}")

    def say(self, text: str) -> None:
        self._write(text)

    def _write(self, text: str, end: str = "\n") -> None:
        try:
            print(text, end=end, file=self._out, flush=True)
        except OSError:
            # The terminal is gone; the stack must still be stopped in order.
            self._live = False
