"""The flags that this process has asked for, prepared for being asked again."""

from __future__ import annotations

from windsock.flags.definition import BOOLEAN, OBJECT
from windsock.flags.evaluation import NOTHING, CompiledFlag, Evaluation
from windsock.flags.reporting import Cell, Usage
from windsock.flags.versions import NoFlags, Version

_NONE = type(None)
# The types of a default that need no second look, by type of flag. An object has to be copied.
_FITTING: dict[str, frozenset[type]] = {
    BOOLEAN: frozenset([bool, _NONE]),
    "string": frozenset([str, _NONE]),
    "integer": frozenset([int, float, _NONE]),
    "float": frozenset([float, _NONE]),
    OBJECT: frozenset(),
}


class Entry:
    """One version of a flag. ``count`` and ``cells`` tell how often it gave what.

    ``switch`` is the value of a boolean flag that is the same for everybody and leaves nothing
    to the caller, else ``None``.
    """

    __slots__ = ("cells", "compiled", "count", "evaluate", "fits", "fixed", "is_boolean", "switch")

    def __init__(self, compiled: CompiledFlag) -> None:
        # What is prepared at the first evaluation is in place after it.
        compiled.evaluate(None, NOTHING)
        flag = compiled.flag
        self.compiled = compiled
        self.evaluate = compiled.evaluate
        self.fixed: Evaluation | None = compiled.fixed
        self.is_boolean = flag.type == BOOLEAN
        self.fits = _FITTING.get(flag.type, frozenset())
        self.cells = {name: Cell(flag.key, name) for name in (*flag.variants, None)}
        self.switch: bool | None = None
        if self.fixed is not None:
            # All of its evaluations are counted in one place, for the shortest way there.
            self.count = self.cells[self.fixed.variant]
            if self.is_boolean and self.fixed.variant is not None:
                self.switch = bool(self.fixed.value)
        else:
            self.count = self.cells[None]


class Table:
    """The entries of one version. A new version has another table, so that none mixes two."""

    __slots__ = ("entries", "usage", "version")

    def __init__(self, version: Version | NoFlags, usage: Usage | None) -> None:
        self.version = version
        self.usage = usage
        self.entries: dict[str, Entry] = {}

    def find(self, key: str) -> Entry | None:
        """Return the entry of a flag, made if there is none yet; ``None`` without such a flag."""
        entry = self.entries.get(key)
        if entry is not None or isinstance(self.version, NoFlags):
            return entry
        compiled = self.version.flags.get(key)
        if compiled is None:
            return None
        entry = Entry(compiled)
        kept = self.entries.setdefault(key, entry)
        if kept is entry and self.usage is not None:
            for cell in entry.cells.values():
                self.usage.count_in(cell)
        return kept

    def after(self, version: Version | NoFlags) -> Table:
        """Return the table of ``version``, with the entries of the flags that stayed as they were."""
        new = Table(version, self.usage)
        flags = {} if isinstance(version, NoFlags) else version.flags
        for key, entry in self.entries.copy().items():
            if flags.get(key) is entry.compiled:
                new.entries[key] = entry
            else:
                for cell in entry.cells.values():
                    cell.retired = True
        return new
