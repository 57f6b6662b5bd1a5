"""The flags client: what an application asks which variant its user gets."""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

from windsock.ambient import AMBIENT
from windsock.collector import MetricsCollector
from windsock.counters import Warnings
from windsock.fields import Cleaner, describe
from windsock.flags.definition import BOOLEAN, OBJECT
from windsock.flags.evaluation import (
    FLAG_NOT_FOUND,
    GENERAL,
    PROVIDER_NOT_READY,
    SPLIT,
    TYPE_MISMATCH,
    Evaluation,
    failed,
)
from windsock.flags.source import FileSource, Flags, FlagSource, MemorySource, NoFlags
from windsock.settings import Settings

MAX_REMEMBERED_EXPOSURES = 10_000
NO_SOURCE = NoFlags(PROVIDER_NOT_READY, "there is no source of flags: set WINDSOCK_FLAGS_FILE")


class FeatureFlags:
    """Evaluates flags in this process. No method raises: the default is the answer then.

    Without ``user_id`` the user is ``context["targetingKey"]``, else the ambient ``user_id``.
    That a user got a variant by a split is recorded as an exposure, once for each version of
    the flags and as long as it is among the last 10,000. Without a ``configure`` before it,
    the first evaluation reads the environment.
    """

    def __init__(self, collector: MetricsCollector) -> None:
        self._collector = collector
        self._source: FlagSource | None = None
        self._exposures = Exposures()
        self._record_exposures = True
        self._warnings = Warnings()

    def configure(self, settings: Settings) -> None:
        """Take the flags from where ``settings`` say, from now on."""
        self._record_exposures = settings.record_exposures
        path = settings.flags_file
        self.install(MemorySource(NO_SOURCE) if path is None else FileSource(path))

    def install(self, source: FlagSource | None) -> FlagSource | None:
        """Take the flags from ``source`` from now on; return the one before."""
        before, self._source = self._source, source
        return before

    def is_enabled(
        self,
        key: str,
        user_id: object = None,
        context: Mapping[str, object] | None = None,
        default: bool = False,
    ) -> bool:
        """Return the value of a boolean flag."""
        found = self._exposed(key, user_id, context, default, BOOLEAN)
        return default if found.variant is None else bool(found.value)

    def variant(
        self,
        key: str,
        user_id: object = None,
        context: Mapping[str, object] | None = None,
        default: str | None = None,
    ) -> str | None:
        """Return the name of the variant."""
        found = self._exposed(key, user_id, context)
        return default if found.variant is None else found.variant

    def value(
        self,
        key: str,
        user_id: object = None,
        context: Mapping[str, object] | None = None,
        default: Any = None,
    ) -> Any:
        """Return the value of the variant, of the type that ``default`` has if one is given."""
        return self._exposed(key, user_id, context, default).value

    def explain(
        self,
        key: str,
        user_id: object = None,
        context: Mapping[str, object] | None = None,
        default: object = None,
    ) -> Evaluation:
        """Return what ``value`` would and why, for people to see: it records no exposure."""
        return self._evaluated(key, user_id, context, default)[0]

    def _exposed(
        self,
        key: str,
        user_id: object,
        context: Mapping[str, object] | None,
        default: object = None,
        wanted: str | None = None,
    ) -> Evaluation:
        found, unit, flags = self._evaluated(key, user_id, context, default, wanted)
        if found.reason == SPLIT and self._record_exposures and found.variant and unit:
            if self._exposures.is_first(flags, (found.flag_key, unit, found.variant)):
                self._collector.record_exposure(found.flag_key, found.variant, unit)
        elif found.error_code is not None and found.error_code != PROVIDER_NOT_READY:
            self._warnings.warn(
                found.error_code,
                "flag %.200s: %s %s, the default is used",
                found.flag_key,
                found.error_code,
                found.error_message,
            )
        return found

    def _evaluated(
        self,
        key: str,
        user_id: object,
        context: Mapping[str, object] | None,
        default: object,
        wanted: str | None = None,
    ) -> tuple[Evaluation, str | None, Flags | NoFlags]:
        flags: Flags | NoFlags = NO_SOURCE
        unit = None
        key = key if type(key) is str else describe(key)
        try:
            flags = self._flags()
            unit = _targeting_key(user_id, context)
            return _evaluate(flags, key, unit, default, wanted), unit, flags
        # The promise of the SDK: whatever an application hands in, it goes on.
        except Exception as error:  # noqa: BLE001
            message = f"{type(error).__name__}: {describe(error)}"
            return failed(key, GENERAL, message, default), unit, flags

    def _flags(self) -> Flags | NoFlags:
        if self._source is None:
            self.configure(Settings.from_env())
        assert self._source is not None
        return self._source.current()


class Exposures:
    """Remembers the last exposures, so that each is recorded once.

    An ``OrderedDict`` does each of these steps at once, so there is no lock to hold in a fork.
    """

    def __init__(self) -> None:
        self._seen: OrderedDict[tuple[str, str, str], object] = OrderedDict()
        self._flags: Flags | NoFlags | None = None

    def is_first(self, flags: Flags | NoFlags, exposure: tuple[str, str, str]) -> bool:
        """Return whether ``exposure``, of flag, user and variant, is new to these ``flags``."""
        if flags is not self._flags:
            # A changed flag may begin an experiment, which must see those who were here before.
            self._flags = flags
            self._seen.clear()
        mine = object()
        if self._seen.setdefault(exposure, mine) is not mine:
            with suppress(KeyError):
                self._seen.move_to_end(exposure)
            return False
        if len(self._seen) > MAX_REMEMBERED_EXPOSURES:
            with suppress(KeyError):
                self._seen.popitem(last=False)
        return True


def _evaluate(
    flags: Flags | NoFlags, key: str, unit: str | None, default: object, wanted: str | None
) -> Evaluation:
    if isinstance(flags, NoFlags):
        return failed(key, flags.code, flags.message, default)
    compiled = flags.get(key)
    if compiled is None:
        return failed(key, FLAG_NOT_FOUND, "there is no such flag", default)
    kind = compiled.flag.type
    if wanted is not None and kind != wanted:
        return failed(key, TYPE_MISMATCH, f"the flag is of type {kind}, not {wanted}", default)
    found = compiled.evaluate(unit)
    if found.variant is None:
        return replace(found, value=default)
    if not _fits(found.value, default):
        message = f"the flag is of type {kind}, the default a {type(default).__name__}"
        return failed(key, TYPE_MISMATCH, message, default)
    # The caller may change an object; the flag's own must stay as it is.
    return replace(found, value=copy.deepcopy(found.value)) if kind == OBJECT else found


def _fits(value: object, default: object) -> bool:
    """Return whether ``value`` can be used where ``default`` can; an integer is a float too."""
    for kind in (bool, int, float, str, dict):
        if isinstance(default, kind):
            wanted = (int, float) if kind is float else kind
            return isinstance(value, wanted) and isinstance(value, bool) == (kind is bool)
    return True


def _targeting_key(user_id: object, context: Mapping[str, object] | None) -> str | None:
    """Return the user as the events name it, so that what they tell can be worked out again."""
    if user_id is None and context is not None:
        user_id = context.get("targetingKey")
    if user_id is None:
        ambient = AMBIENT.get()
        return None if ambient is None else ambient.names.get("user_id")
    return Cleaner().name(user_id)
