"""The runs that LangChain has told the beginning of, until it tells their end."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
from contextvars import Context, copy_context
from dataclasses import dataclass, field
from time import perf_counter_ns
from typing import Generic, TypeVar

from windsock.ambient import AMBIENT

_V = TypeVar("_V")

# More than run at once; what is over it is the oldest, and its end will hardly come.
MAX_RUNS = 10_000


@dataclass(slots=True)
class Run:
    """A run under way: of a node, a tool or a retriever, or of a model.

    ``unit`` is whose work it is and how urgent, for the events; ``key`` where the node left
    that for the models inside it. ``context`` is what the run began in, since its end may be
    told in another.
    """

    operation: str
    unit: dict[str, object]
    key: str | None = None
    provider: str | None = None
    model: str | None = None
    first_token_ms: float | None = None
    context: Context = field(default_factory=copy_context)
    start_ns: int = field(default_factory=perf_counter_ns)

    @property
    def elapsed_ms(self) -> float:
        return (perf_counter_ns() - self.start_ns) / 1e6

    def record(self, function: Callable[..., None], *args: object, **kwargs: object) -> None:
        """Call ``function``, which records something, in the context of the run."""
        self.context.run(function, *args, **kwargs)


class Bounded(Generic[_V]):
    """A mapping that forgets its oldest entries, for threads that share it."""

    def __init__(self, capacity: int = MAX_RUNS) -> None:
        self._capacity = capacity
        self._entries: OrderedDict[Hashable, _V] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._entries)

    def put(self, key: Hashable, value: _V) -> None:
        with self._lock:
            self._entries[key] = value
            while len(self._entries) > self._capacity:
                self._entries.popitem(last=False)

    def get(self, key: Hashable) -> _V | None:
        return self._entries.get(key)

    def pop(self, key: Hashable) -> _V | None:
        with self._lock:
            return self._entries.pop(key, None)


_UNIT = ("user_id", "session_id", "gap_priority")


def unit_of(state: object, metadata: Mapping[str, object]) -> dict[str, object]:
    """Return whose work a run is and how urgent: what the state says, else the config's metadata.

    The thread of a LangGraph conversation is a session, unless one is named, be it around the run.
    """
    unit: dict[str, object] = {}
    ambient = AMBIENT.get()
    known = ambient.names if ambient is not None else {}
    for name in _UNIT:
        given = state.get(name) if isinstance(state, Mapping) else getattr(state, name, None)
        value = metadata.get(name) if given is None else given
        if value is not None:
            unit[name] = value
    thread = metadata.get("thread_id")
    if thread is not None and "session_id" not in known:
        unit.setdefault("session_id", thread)
    return unit
