"""``track_node``: what wraps the node of a workflow, such as LangGraph's."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from contextlib import suppress
from time import perf_counter_ns
from types import TracebackType
from typing import Any, Self, TypeVar, overload

from windsock.ambient import AMBIENT, OPERATION, Ambient, with_unit
from windsock.fields import MAX_NAME, Cleaner
from windsock.process import collector
from windsock.tracking import track_performance
from windsock.wrapping import wrapped

_F = TypeVar("_F", bound=Callable[..., Any])


@overload
def track_node(name: _F) -> _F: ...


@overload
def track_node(name: str | None = None) -> Callable[[_F], _F]: ...


def track_node(name: Any = None) -> Any:
    """Record each run of a workflow's node as a ``performance`` event under the node's name.

    ``name`` is the function's own if not given; ``@track_node`` works without brackets too.
    The state is the first argument (of a method, the first after ``self``): a mapping, or
    any object. Its ``user_id``, ``session_id`` and ``gap_priority`` are those of all that is
    recorded inside; what it lacks stays as it is around the node. Errors are recorded as
    ``track_performance`` records them and go on unchanged.

    What is decorated has the attribute ``__windsock_operation__``, its name in the events.
    """
    if callable(name) or isinstance(name, classmethod):
        return _node(name, None)
    return lambda function: _node(function, name)


def _node(function: Any, name: object) -> Any:
    given = getattr(function, "__name__", type(function).__name__) if name is None else name
    operation = Cleaner().text(given, MAX_NAME)
    position, parameter = _state_parameter(function)

    def run(args: tuple[Any, ...], kwargs: dict[str, Any]) -> _Run:
        state = args[position] if len(args) > position else kwargs.get(parameter)
        return _Run(operation, state)

    node = wrapped(function, run)
    marked = getattr(node, "__func__", node)
    marked.__windsock_operation__ = operation
    return node


def _state_parameter(function: Any) -> tuple[int, str]:
    """Return where the state is among the arguments, and under which keyword it may come."""
    try:
        names = list(inspect.signature(getattr(function, "__func__", function)).parameters)
    except (TypeError, ValueError):  # Some functions written in C have no signature.
        return 0, ""
    position = 1 if names[:1] in (["self"], ["cls"]) else 0
    return position, names[position] if len(names) > position else ""


class _Run(track_performance):
    """One run of a node: timed, in the ambient context of its state."""

    __slots__ = ("_ambient", "_tokens")

    def __init__(self, operation: str, state: object) -> None:
        self._operation = operation
        self._metadata = None
        self._ambient = _ambient_of(state)

    def __enter__(self) -> Self:
        self.resume()
        self._start = perf_counter_ns()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        super().__exit__(kind, error, trace)
        self._leave()

    def resume(self) -> None:
        self._tokens = AMBIENT.set(self._ambient), OPERATION.set(self._operation)

    def suspend(self) -> None:
        # A block of ``context`` may be open inside.
        self._ambient = AMBIENT.get()
        self._leave()

    def _leave(self) -> None:
        ambient, operation = self._tokens
        # A generator may be closed in another context than it was started in; that one
        # is over, and so is what was set in it.
        with suppress(ValueError):
            OPERATION.reset(operation)
            AMBIENT.reset(ambient)


def _ambient_of(state: object) -> Ambient | None:
    clean = Cleaner()
    # Mappings of other kinds and properties may raise anything; the node must run.
    try:
        if isinstance(state, Mapping):
            unit = state.get("user_id"), state.get("session_id"), state.get("gap_priority")
        else:
            unit = (
                getattr(state, "user_id", None),
                getattr(state, "session_id", None),
                getattr(state, "gap_priority", None),
            )
        return with_unit(AMBIENT.get(), *unit, clean)
    except Exception:  # noqa: BLE001
        clean.truncated += 1
        return AMBIENT.get()
    finally:
        if clean.truncated:
            collector.pipeline.counters.add("truncated", clean.truncated)
