"""``track_performance`` and ``context``: what wraps the application's own code."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextvars import Token
from time import perf_counter_ns, time
from types import TracebackType
from typing import Any, Self, TypeVar

from windsock.ambient import AMBIENT, EMPTY, UNITS, Ambient, latest, merged, with_unit
from windsock.fields import MAX_NAME, Cleaner
from windsock.process import collector
from windsock.wrapping import wrapped

_F = TypeVar("_F", bound=Callable[..., Any])
_ambient, _set_ambient = AMBIENT.get, AMBIENT.set
_UNIT = {"user_id", "session_id", "gap_priority"}


class track_performance:  # noqa: N801  It is used like a function.
    """Time a block or a function and record it as a ``performance`` event.

    Use it in ``with`` or ``async with`` (one block at a time per object), or as a decorator
    of a function, a coroutine function, or a generator of either kind, which is timed from
    its first step to its end. ``metadata`` has the keys of ``context`` for this one event.

    A block that raises is recorded with status ``error``, and the exception goes on
    unchanged. That holds for ``CancelledError`` and ``KeyboardInterrupt`` too, since the
    operation did not finish and a timeout arrives as the former. ``GeneratorExit`` and
    ``SystemExit`` without a failing code are a normal end.
    """

    __slots__ = ("_bare", "_metadata", "_operation", "_outside", "_start")

    def __init__(self, operation: str, metadata: Mapping[str, object] | None = None) -> None:
        if type(operation) is not str or len(operation) > MAX_NAME:
            operation = self._unusual(operation)
        self._operation = operation
        self._metadata = metadata

    # These two are kept short: the path that must cost less than a microsecond.
    def __enter__(self) -> Self:
        outside = self._outside = _ambient()
        if outside is None:
            _set_ambient(EMPTY)
        self._start = perf_counter_ns()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        elapsed = perf_counter_ns() - self._start
        ambient = _ambient()
        buffer = collector.buffer
        if (
            kind is None
            and self._metadata is None
            and (ambient is None or not ambient.extra_slots)
            and len(buffer.events) < buffer.fast_limit
        ):
            buffer.events.append((time(), self._operation, ambient, elapsed))
        else:
            self._record(elapsed, error, trace)
        if ambient is EMPTY:
            _set_ambient(self._outside)
        elif ambient is not self._outside:
            self._leave(ambient)

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.__exit__(kind, error, trace)

    def annotate(self, **metadata: object) -> None:
        """Add metadata from inside the block, such as what only its result tells."""
        before = self._metadata if isinstance(self._metadata, dict) else {}
        self._metadata = {**before, **metadata}

    def __call__(self, function: _F, *args: Any, **kwargs: Any) -> _F:
        """Decorate ``function``."""
        bare: Callable[..., Any] | None = getattr(self, "_bare", None)
        if bare is not None:
            result: _F = bare(function, *args, **kwargs)
            return result
        decorated: _F = _decorated(function, self._operation, self._metadata)
        return decorated

    def __get__(self, instance: object, owner: type | None = None) -> Any:
        """Bind a method that was decorated without a name."""
        bare: Any = getattr(self, "_bare", None)
        return self if bare is None or instance is None else bare.__get__(instance, owner)

    def _leave(self, ambient: Ambient | None) -> None:
        """Take out what the flags put in; another block's metadata stays, as in a generator."""
        if latest(self._outside or EMPTY, ambient) is ambient:
            _set_ambient(self._outside)

    def _record(
        self, elapsed: int, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        failed = error is not None and not ends_normally(error)
        collector.record_block(
            self._operation, elapsed, self._metadata, (error, trace) if failed else None
        )

    def _unusual(self, operation: object) -> str:
        if callable(operation):
            # ``@track_performance`` without a name must still run the function.
            name = getattr(operation, "__qualname__", "")
            self._bare = _decorated(operation, Cleaner().text(name, MAX_NAME), None)
            return Cleaner().text(name, MAX_NAME)
        return Cleaner().text(operation, MAX_NAME)


class context:  # noqa: N801  It is used like a function.
    """Give all that is recorded inside the block, and in tasks started there, its metadata.

    Keys are ``user_id``, ``session_id``, ``gap_priority``, ``environment``, ``flags`` and
    ``attributes``; any other becomes an attribute. An inner block adds to the outer one.
    A new thread starts without: hand it ``contextvars.copy_context().run``.
    """

    __slots__ = ("_fields", "_tokens")

    def __init__(self, **fields: object) -> None:
        self._fields = fields
        self._tokens: list[Token[Ambient | None]] = []

    def __enter__(self) -> Self:
        outside, fields = _ambient(), self._fields
        get = fields.get
        try:
            unit = get("user_id"), get("session_id"), get("gap_priority")
            inside = UNITS[outside, *unit] if fields.keys() <= _UNIT else _with(outside, fields)
        # It is not remembered, or it is something that cannot even be looked for.
        except Exception:  # noqa: BLE001
            inside = _with(outside, fields)
        self._tokens.append(_set_ambient(inside or EMPTY))
        return self

    def __exit__(self, *_: object) -> None:
        # A generator may be closed in another context than it was started in; that one
        # is over, and so is what was set in it.
        try:
            AMBIENT.reset(self._tokens.pop())
        except ValueError:
            return


def _with(outside: Ambient | None, fields: Mapping[str, object]) -> Ambient | None:
    clean = Cleaner()
    if fields.keys() <= _UNIT:
        get = fields.get
        unit = get("user_id"), get("session_id"), get("gap_priority")
        inside = with_unit(outside, *unit, clean)
    else:
        inside = merged(outside, fields, clean)
    if clean.truncated:
        collector.pipeline.counters.add("truncated", clean.truncated)
    return inside


def ends_normally(error: BaseException) -> bool:
    """Return whether ``error`` is how something ends that went well.

    So Python ends generators and programs, and LangGraph a node that pauses or goes elsewhere;
    that one is known by name, as LangGraph may not be there.
    """
    if isinstance(error, SystemExit):
        return error.code is None or (isinstance(error.code, int) and error.code == 0)
    return isinstance(error, GeneratorExit) or any(
        kind.__name__ == "GraphBubbleUp" for kind in type(error).__mro__
    )


class _Run(track_performance):
    """One run of a decorated function; a generator's pauses count."""

    __slots__ = ("_inside",)

    def suspend(self) -> None:
        # A block of ``context`` may be open inside, to be found again.
        self._inside = _ambient()
        _set_ambient(self._outside)

    def resume(self) -> None:
        self._outside = _ambient()
        _set_ambient(self._inside)

    def _leave(self, ambient: Ambient | None) -> None:
        if hasattr(self, "_inside"):
            # What is outside may have changed between the steps, and none of it was left inside.
            _set_ambient(self._outside)
        else:
            super()._leave(ambient)


def _decorated(function: Any, operation: str, metadata: Mapping[str, object] | None) -> Any:
    return wrapped(function, lambda args, kwargs: _Run(operation, metadata))
