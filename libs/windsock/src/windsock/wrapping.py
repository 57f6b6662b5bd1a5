"""Functions of every kind, wrapped so that a block is entered for each of their runs."""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncGenerator, Callable, Generator
from types import TracebackType
from typing import Any, Protocol


class Block(Protocol):
    """What one run of a function happens in."""

    def __enter__(self) -> object: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...

    def suspend(self) -> None:
        """Let others run: the function, a generator, has yielded."""

    def resume(self) -> None:
        """Go on after ``suspend``."""


# Makes the block of one run from the arguments of the call.
MakeBlock = Callable[[tuple[Any, ...], dict[str, Any]], Block]


def wrapped(function: Any, block: MakeBlock) -> Any:
    """Return ``function`` with each run in a ``block`` of its own."""
    if isinstance(function, staticmethod | classmethod):
        return type(function)(wrapped(function.__func__, block))
    if is_generator(function):
        return wrapped_generator(function, block)
    if is_coroutine(function):

        @functools.wraps(function)
        async def coroutine(*args: Any, **kwargs: Any) -> Any:
            with block(args, kwargs):
                return await function(*args, **kwargs)

        return coroutine

    @functools.wraps(function)
    def plain(*args: Any, **kwargs: Any) -> Any:
        with block(args, kwargs):
            return function(*args, **kwargs)

    return plain


def is_generator(function: Any) -> bool:
    """Return whether a call gives a generator of either kind."""
    return inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function)


def is_coroutine(function: Any) -> bool:
    """Return whether a call must be awaited; an object with such a ``__call__`` is one too."""
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
        getattr(function, "__call__", None)  # noqa: B004  Its kind is asked for, not whether it is.
    )


def wrapped_generator(function: Any, block: MakeBlock) -> Any:
    """Return ``function`` with a block that begins with its first step and ends with its last."""
    if inspect.isasyncgenfunction(function):
        return _async_generator(function, block)
    return _generator(function, block)


# ``yield from`` does not tell when the generator yields, and has no asynchronous form, so values
# and exceptions are passed on by hand.
def _generator(function: Any, block: MakeBlock) -> Any:
    @functools.wraps(function)
    def generator(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        run = block(args, kwargs)
        with run:
            inner = function(*args, **kwargs)
            step: Callable[[], Any] = functools.partial(next, inner)
            try:
                while True:
                    try:
                        item = step()
                    except StopIteration as end:
                        return end.value
                    run.suspend()
                    try:
                        step = functools.partial(inner.send, (yield item))
                    except GeneratorExit:
                        raise
                    except BaseException as error:  # noqa: BLE001  It goes on inside.
                        step = functools.partial(inner.throw, error)
                    finally:
                        run.resume()
            finally:
                inner.close()

    return generator


def _async_generator(function: Any, block: MakeBlock) -> Any:
    @functools.wraps(function)
    async def generator(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        run = block(args, kwargs)
        with run:
            inner = function(*args, **kwargs)
            step = inner.__anext__()
            try:
                while True:
                    item = await step
                    run.suspend()
                    try:
                        step = inner.asend((yield item))
                    except GeneratorExit:
                        raise
                    except BaseException as error:  # noqa: BLE001  It goes on inside.
                        step = inner.athrow(error)
                    finally:
                        run.resume()
            except StopAsyncIteration:
                return
            finally:
                await inner.aclose()

    return generator
