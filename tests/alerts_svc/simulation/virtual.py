"""An event loop whose time passes only while everybody waits, and then at once."""

from __future__ import annotations

import asyncio
import functools
import selectors
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, ParamSpec, TypeVar

T = TypeVar("T")
P = ParamSpec("P")


class StuckError(Exception):
    """Everybody waits for something that no timer brings."""


class _Skipping(selectors.DefaultSelector):
    """A selector that never waits: it sets the loop's clock to when the next timer is due."""

    loop: VirtualLoop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise StuckError
        self.loop.now += max(0.0, timeout)
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """Runs timers in order without waiting for them; nothing in it may do real input or output."""

    def __init__(self, start: float = 1000.0) -> None:
        self.now = start
        selector = _Skipping()
        selector.loop = self
        super().__init__(selector)

    def time(self) -> float:
        """Return the virtual time in seconds."""
        return self.now


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run ``main`` in a loop of its own; what it leaves behind is cancelled.

    Not ``asyncio.run``, which would take the place of the loop that other tests share.
    """
    loop = VirtualLoop()
    loop.set_exception_handler(_ignored)
    try:
        return loop.run_until_complete(main)
    finally:
        while left := asyncio.all_tasks(loop):
            for task in left:
                task.cancel()
            loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        loop.close()


def in_virtual_time(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """Make a test of a coroutine that waits in virtual time."""

    @functools.wraps(test)
    def tested(*args: P.args, **kwargs: P.kwargs) -> None:
        run(test(*args, **kwargs))

    return tested


def _ignored(loop: asyncio.AbstractEventLoop, context: Mapping[str, Any]) -> None:
    """Pass over it: a process that has crashed leaves tasks whose end nobody asks for."""
