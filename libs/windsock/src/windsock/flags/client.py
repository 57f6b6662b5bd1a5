"""The flags client: what an application asks which variant its user gets."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from windsock.ambient import AMBIENT, Ambient, saw
from windsock.collector import MetricsCollector
from windsock.counters import Warnings
from windsock.fields import MAX_NAME, Cleaner, describe
from windsock.flags.choosing import chosen
from windsock.flags.definition import BOOLEAN, OBJECT, TARGETING_KEY
from windsock.flags.evaluation import (
    FLAG_NOT_FOUND,
    GENERAL,
    NOTHING,
    PARSE_ERROR,
    PROVIDER_NOT_READY,
    SPLIT,
    TYPE_MISMATCH,
    Evaluation,
    failed,
)
from windsock.flags.explaining import Explanation, explain
from windsock.flags.exposures import Exposures
from windsock.flags.reporting import Cell
from windsock.flags.source import CHANGED, FlagSource, FlagsStatus, Notice
from windsock.flags.table import Entry, Table
from windsock.flags.versions import NoFlags, Version
from windsock.settings import Settings

NO_SOURCE = NoFlags(PROVIDER_NOT_READY, "flags were never configured")
Context = Mapping[str, object] | None
_EXIT_SECONDS = 0.5
_ambient = AMBIENT.get


class FeatureFlags:
    """Evaluates flags in this process. No method raises: the default is the answer then.

    Without ``user_id`` the user is ``context["targetingKey"]``, else the ambient ``user_id``.
    That a user got a variant by a split is recorded as an exposure, once for each version of
    the flag and as long as it is among the last ones; and what is recorded afterwards in the same
    block of ``context``, a tracked function, node or request carries the flag and its variant.

    Nothing is fetched for an evaluation: the first one starts to follow the source, and what the
    source has given so far is the answer. Without a ``configure`` before it, it reads the
    environment.
    """

    def __init__(self, collector: MetricsCollector) -> None:
        self._collector = collector
        self._source: FlagSource | None = None
        self._table = _table_of(None)
        # The table's own, to be one step away.
        self._entries = self._table.entries
        self._exposures = Exposures()
        self._record_exposures = self._record_flags = True
        self._exit_timeout = _EXIT_SECONDS
        self._warnings = Warnings()
        self._listeners: dict[object, Callable[[Notice], None]] = {}

    def configure(self, settings: Settings) -> None:
        """Take the flags from where ``settings`` say, from now on."""
        self._record_exposures = settings.record_exposures
        self._record_flags = settings.record_flags
        self._exit_timeout = min(settings.exit_timeout_seconds, _EXIT_SECONDS)
        former = self.install(chosen(settings))
        if former is not None:
            former.close(0.0)

    def install(self, source: FlagSource | None) -> FlagSource | None:
        """Take the flags from ``source`` from now on; return the one before, as it is."""
        before, self._source = self._source, source
        if source is not None:
            source.told = lambda notice: self._told(source, notice)
        self._use(_table_of(source))
        return before

    def is_enabled(
        self,
        key: str,
        user_id: object = None,
        context: Context = None,
        default: bool = False,
    ) -> bool:
        """Return the value of a boolean flag."""
        try:
            entry = self._entries[key]
            if entry.switch is not None:
                entry.count.count += 1
                return entry.switch
            if entry.is_boolean and entry.fixed is None:
                found = self._decided(entry, user_id, context)
                return default if found.variant is None else found.value  # type: ignore[return-value]
        # Not asked before, or what no dict has as a key; both are answered below.
        except Exception:  # noqa: BLE001, S110
            pass
        found = self.details(key, user_id, context, default, BOOLEAN)
        return default if found.variant is None else bool(found.value)

    def variant(
        self,
        key: str,
        user_id: object = None,
        context: Context = None,
        default: str | None = None,
    ) -> str | None:
        """Return the name of the variant."""
        try:
            entry = self._entries[key]
            if entry.fixed is None:
                found = self._decided(entry, user_id, context)
                return default if found.variant is None else found.variant
        except Exception:  # noqa: BLE001, S110
            pass
        found = self.details(key, user_id, context)
        return default if found.variant is None else found.variant

    def value(
        self,
        key: str,
        user_id: object = None,
        context: Context = None,
        default: Any = None,
    ) -> Any:
        """Return the value of the variant, of the type that ``default`` has if one is given."""
        try:
            entry = self._entries[key]
            if type(default) in entry.fits:
                found = entry.fixed
                if found is None:
                    found = self._decided(entry, user_id, context)
                    return default if found.variant is None else found.value
                if found.variant is not None:
                    entry.count.count += 1
                    return found.value
        except Exception:  # noqa: BLE001, S110
            pass
        return self.details(key, user_id, context, default).value

    def details(
        self,
        key: str,
        user_id: object = None,
        context: Context = None,
        default: object = None,
        flag_type: str | None = None,
    ) -> Evaluation:
        """Return value, variant and reason together; a flag not of ``flag_type`` is an error."""
        found, unit, cell = self._evaluated(key, user_id, context, default, flag_type)
        if cell is not None:
            self._seen(found, unit, cell)
        elif found.error_code != PROVIDER_NOT_READY:
            self._warn(found)
        return found

    def explain(
        self,
        key: str,
        user_id: object = None,
        context: Context = None,
        default: object = None,
    ) -> Explanation:
        """Return what ``details`` would, and why, for people to see: it counts and records nothing."""
        key = key if type(key) is str else describe(key)
        try:
            self._begun().start()
            version = self._table.version
            if isinstance(version, NoFlags) or key not in version.flags:
                return Explanation(_missing(version, key, default), ())
            unit = _targeting_key(user_id, context)
            found = explain(version.flags, key, unit, NOTHING if context is None else context)
            kind = version.flags[key].flag.type
            return replace(found, evaluation=_fitted(found.evaluation, kind, default, None))
        except Exception as error:  # noqa: BLE001
            return Explanation(failed(key, GENERAL, _described(error), default), ())

    def resolve(
        self,
        key: str,
        user_id: object = None,
        context: Context = None,
        default: object = None,
        flag_type: str | None = None,
    ) -> Evaluation:
        """Do as ``details``, but leave it to ``expose`` to record that the user saw the variant."""
        return self._evaluated(key, user_id, context, default, flag_type)[0]

    def expose(self, found: Evaluation, user_id: object = None, context: Context = None) -> None:
        """Record what ``resolve`` has found for these as seen by the user, if it came by a split."""
        entry = self._table.find(found.flag_key)
        if entry is not None and found.variant in entry.cells:
            self._seen(found, _targeting_key(user_id, context), entry.cells[found.variant])

    def ready(self, timeout: float = 5.0) -> bool:
        """Wait until the source has given its flags; return whether there are any.

        They may be those of a backup or a file, if the source could not be reached. Nobody has to
        wait: until there are flags, the defaults are the answer. Under asyncio use
        ``asyncio.to_thread``.
        """
        return self._begun().ready(timeout)

    def status(self) -> FlagsStatus:
        """Return where the flags come from and how fresh they are."""
        return self._begun().status()

    def subscribe(self, listener: Callable[[Notice], None]) -> Callable[[], None]:
        """Call ``listener`` for what happens to the flags, in the thread that brings it.

        Return what ends that.
        """
        # Each step on the dict is done at once, whatever threads take part.
        place = object()
        self._listeners[place] = listener

        def unsubscribe() -> None:
            self._listeners.pop(place, None)

        return unsubscribe

    @property
    def version(self) -> Version | NoFlags:
        """What is in force."""
        return self._table.version

    def close(self, timeout: float = 5.0) -> bool:
        """Stop to follow the source; return whether that ended in time. The flags stay in force."""
        return self._source is None or self._source.close(timeout)

    def close_at_exit(self) -> None:
        """Close within the time that the settings allow for it, and half a second at most."""
        self.close(self._exit_timeout)

    def after_fork(self) -> None:
        """Start afresh in a forked child, with the flags that are in force."""
        if self._source is not None:
            self._source.after_fork()
            # The counts are the parent's; and the first evaluation starts to follow the source.
            self._use(_table_of(self._source))

    def _decided(self, entry: Entry, user_id: object, context: Context) -> Evaluation:
        """Return what a user gets from a flag that is not the same for everybody."""
        if type(user_id) is str and user_id and user_id.isascii():
            unit: str | None = user_id
        else:
            unit = _targeting_key(user_id, context)
        found = entry.evaluate(unit, NOTHING if context is None else context)
        cell = entry.cells[found.variant]
        cell.count += 1
        if found.reason != SPLIT:
            if found.error_code is not None:
                self._warn(found)
        elif (unit, cell) not in self._exposures.recent:
            self._expose(found, unit, cell)
        ambient = _ambient()
        if ambient is not None and self._record_flags:
            self._tag(ambient, found, unit)
        return found

    def _seen(self, found: Evaluation, unit: str | None, cell: Cell) -> None:
        if found.error_code is not None:
            self._warn(found)
        elif found.reason == SPLIT:
            self._expose(found, unit, cell)
        ambient = _ambient()
        if ambient is not None and self._record_flags:
            self._tag(ambient, found, unit)

    def _expose(self, found: Evaluation, unit: str | None, cell: Cell) -> None:
        if found.variant and unit and self._record_exposures:
            name = unit if len(unit) <= MAX_NAME else Cleaner().text(unit, MAX_NAME)
            if self._exposures.is_first((name, cell)):
                self._collector.record_exposure(found.flag_key, found.variant, name)

    def _tag(self, ambient: Ambient, found: Evaluation, unit: str | None) -> None:
        """Let the events of this block carry what its user got; only shares tell users apart."""
        if unit and found.error_code is None:
            saw(ambient, unit, found.flag_key, found.variant if found.reason == SPLIT else None)

    def _evaluated(
        self,
        key: str,
        user_id: object,
        context: Context,
        default: object,
        wanted: str | None,
    ) -> tuple[Evaluation, str | None, Cell | None]:
        key = key if type(key) is str else describe(key)
        unit = None
        try:
            self._begun().start()
            table = self._table
            entry = table.find(key)
            if entry is None:
                return _missing(table.version, key, default), None, None
            unit = _targeting_key(user_id, context)
            found = entry.evaluate(unit, NOTHING if context is None else context)
            found = _fitted(found, entry.compiled.flag.type, default, wanted)
            cell = entry.cells[found.variant]
            cell.count += 1
            return found, unit, cell
        # The promise of the SDK: whatever an application hands in, it goes on.
        except Exception as error:  # noqa: BLE001
            return failed(key, GENERAL, _described(error), default), unit, None

    def _begun(self) -> FlagSource:
        if self._source is None:
            self.configure(Settings.from_env())
        assert self._source is not None
        return self._source

    def _told(self, source: FlagSource, notice: Notice) -> None:
        if source is not self._source:
            return
        if notice.kind == CHANGED:
            self._use(self._table.after(source.version))
            current = self._source
            if current is not source:
                # Another one was installed meanwhile, and its flags are those that hold.
                self._use(_table_of(current))
        for listener in self._listeners.copy().values():
            try:
                listener(notice)
            # It is the application's, and the flags matter more.
            except Exception:  # noqa: BLE001
                self._warnings.warn("listener", "a listener for flags failed", exc_info=True)

    def _use(self, table: Table) -> None:
        self._table = table
        self._entries = table.entries

    def _warn(self, found: Evaluation) -> None:
        assert found.error_code is not None
        self._warnings.warn(
            found.error_code,
            "flag %.200s: %s %s, the default is used",
            found.flag_key,
            found.error_code,
            found.error_message,
        )


def _table_of(source: FlagSource | None) -> Table:
    return Table(NO_SOURCE, None) if source is None else Table(source.version, source.usage)


def _described(error: Exception) -> str:
    return f"{type(error).__name__}: {describe(error)}"


def _missing(version: Version | NoFlags, key: str, default: object) -> Evaluation:
    if isinstance(version, NoFlags):
        return failed(key, version.code, version.message, default)
    problem = version.problem_of(key)
    if problem is not None:
        return failed(key, PARSE_ERROR, problem, default)
    return failed(key, FLAG_NOT_FOUND, "there is no such flag", default)


def _fitted(found: Evaluation, kind: str, default: object, wanted: str | None) -> Evaluation:
    """Return ``found`` as one caller gets it: with the default where it has no value or a wrong one."""
    if wanted is not None and kind != wanted:
        message = f"the flag is of type {kind}, not {wanted}"
        return failed(found.flag_key, TYPE_MISMATCH, message, default)
    if found.variant is None:
        return replace(found, value=default)
    if not _fits(found.value, default):
        message = f"the flag is of type {kind}, the default a {type(default).__name__}"
        return failed(found.flag_key, TYPE_MISMATCH, message, default)
    # The caller may change an object; the flag's own must stay as it is.
    return replace(found, value=copy.deepcopy(found.value)) if kind == OBJECT else found


def _fits(value: object, default: object) -> bool:
    """Return whether ``value`` can be used where ``default`` can; an integer is a float too."""
    for kind in (bool, int, float, str, dict):
        if isinstance(default, kind):
            wanted = (int, float) if kind is float else kind
            return isinstance(value, wanted) and isinstance(value, bool) == (kind is bool)
    return True


def _targeting_key(user_id: object, context: Context) -> str | None:
    if user_id is None and context is not None:
        user_id = context.get(TARGETING_KEY)
    if user_id is None:
        ambient = _ambient()
        return None if ambient is None else ambient.names.get("user_id")
    return _text(user_id)


def _text(user_id: object) -> str | None:
    """Return a user as the text that is hashed; without any there is no user."""
    if user_id is None:
        return None
    text = user_id if type(user_id) is str else describe(user_id)
    # A lone surrogate cannot be hashed; the events replace it alike.
    return (text if text.isascii() else text.encode("utf-8", "replace").decode()) or None
