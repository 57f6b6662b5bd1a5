"""``track_node``: what wraps the node of a workflow, such as LangGraph's."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from contextvars import Token
from time import perf_counter_ns, time
from types import TracebackType
from typing import Any, Self, TypeVar, overload

from windsock.ambient import AMBIENT, EMPTY, OPERATION, UNITS, Ambient, latest, with_unit
from windsock.fields import MAX_NAME, Cleaner
from windsock.process import collector
from windsock.tracking import ends_normally
from windsock.wrapping import is_coroutine, is_generator, wrapped_generator

_F = TypeVar("_F", bound=Callable[..., Any])
_ambient, _set_ambient, _reset_ambient = AMBIENT.get, AMBIENT.set, AMBIENT.reset
_set_operation, _reset_operation = OPERATION.set, OPERATION.reset


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
    if isinstance(function, staticmethod | classmethod):
        return type(function)(_node(function.__func__, name))
    given = getattr(function, "__name__", type(function).__name__) if name is None else name
    operation = Cleaner().text(given, MAX_NAME)
    position, parameter = _state_parameter(function)
    if is_generator(function):
        node = _generator(function, operation, position, parameter)
    elif is_coroutine(function):
        node = _coroutine(function, operation, position, parameter)
    else:
        node = _plain(function, operation, position, parameter)
    node.__windsock_operation__ = operation
    return node


def _state_parameter(function: Any) -> tuple[int, str]:
    """Return where the state is among the arguments, and under which keyword it may come."""
    try:
        names = list(inspect.signature(function).parameters)
    except (TypeError, ValueError):  # Some functions written in C have no signature.
        return 0, ""
    position = 1 if names[:1] in (["self"], ["cls"]) else 0
    return position, names[position] if len(names) > position else ""


def _plain(function: Any, operation: str, position: int, parameter: str) -> Any:
    @functools.wraps(function)
    def node(*args: Any, **kwargs: Any) -> Any:
        run = _begin(operation, args[position] if len(args) > position else kwargs.get(parameter))
        try:
            result = function(*args, **kwargs)
        except BaseException as error:
            _end(run, operation, error)
            raise
        _end(run, operation, None)
        return result

    return node


def _coroutine(function: Any, operation: str, position: int, parameter: str) -> Any:
    @functools.wraps(function)
    async def node(*args: Any, **kwargs: Any) -> Any:
        run = _begin(operation, args[position] if len(args) > position else kwargs.get(parameter))
        try:
            result = await function(*args, **kwargs)
        except BaseException as error:
            _end(run, operation, error)
            raise
        _end(run, operation, None)
        return result

    return node


def _generator(function: Any, operation: str, position: int, parameter: str) -> Any:
    def steps(args: tuple[Any, ...], kwargs: dict[str, Any]) -> _Steps:
        return _Steps(operation, args[position] if len(args) > position else kwargs.get(parameter))

    return wrapped_generator(function, steps)


# The ambient metadata inside, what restores that outside, and when it began.
_Run = tuple[Ambient, Token[Ambient | None], Token[str | None], int]


# These two are kept short: together they must cost little more than a microsecond.
def _begin(operation: str, state: object) -> _Run:
    try:
        get = state.get if type(state) is dict else _reader(state)
        inside = UNITS[_ambient(), get("user_id"), get("session_id"), get("gap_priority")] or EMPTY
    # It is not remembered, or it is something that cannot even be looked for.
    except Exception:  # noqa: BLE001
        inside = _ambient_of(state) or EMPTY
    return inside, _set_ambient(inside), _set_operation(operation), perf_counter_ns()


def _end(run: _Run, operation: str, error: BaseException | None) -> None:
    inside, ambient, current, start = run
    elapsed = perf_counter_ns() - start
    now = _ambient()
    if now is not inside:
        inside = latest(inside, now)
    failure = None if error is None or ends_normally(error) else (error, error.__traceback__)
    buffer = collector.buffer
    if failure is None and not inside.extra_slots and len(buffer.events) < buffer.fast_limit:
        buffer.events.append((time(), operation, inside, elapsed))
    else:
        collector.record_block(operation, elapsed, None, failure)
    _leave(ambient, current)


def _leave(ambient: Token[Ambient | None], operation: Token[str | None]) -> None:
    # What is closed in another context than it was started in: that one is over, and so is
    # what was set in it.
    try:
        _reset_operation(operation)
        _reset_ambient(ambient)
    except ValueError:
        return


class _Steps:
    """The steps of a generator; between them, what is outside is as it was."""

    __slots__ = ("_current", "_operation", "_run", "_state")

    def __init__(self, operation: str, state: object) -> None:
        self._operation = operation
        self._state = state

    def __enter__(self) -> Self:
        self._run = _begin(self._operation, self._state)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        _end(self._run, self._operation, error)

    def suspend(self) -> None:
        _, ambient, operation, _ = self._run
        # A block of ``context`` may be open inside, to be found again.
        self._current = _ambient()
        _leave(ambient, operation)

    def resume(self) -> None:
        inside, _, _, start = self._run
        self._run = inside, _set_ambient(self._current), _set_operation(self._operation), start


def _ambient_of(state: object) -> Ambient | None:
    clean = Cleaner()
    # Mappings of other kinds and properties may raise anything; the node must run.
    try:
        get = _reader(state)
        unit = get("user_id"), get("session_id"), get("gap_priority")
        return with_unit(_ambient(), *unit, clean)
    except Exception:  # noqa: BLE001
        clean.truncated += 1
        return _ambient()
    finally:
        if clean.truncated:
            collector.pipeline.counters.add("truncated", clean.truncated)


def _reader(state: object) -> Callable[[str], object]:
    if isinstance(state, Mapping):
        return state.get
    return lambda name: getattr(state, name, None)
