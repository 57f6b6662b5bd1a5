"""Rules: what is measured, and when somebody should hear of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from alerts_svc.domain.labels import Labels
from alerts_svc.domain.severity import Severity


class Comparison(StrEnum):
    """How a value is held against a threshold; ``>`` is strict, so equality does not fire."""

    ABOVE = ">"
    AT_LEAST = ">="
    BELOW = "<"
    AT_MOST = "<="


@dataclass(frozen=True, slots=True)
class Query:
    """One question to metrics-svc's query API; equal questions are asked once.

    ``filters`` are pairs of a dimension and the values that it may have, sorted by dimension.
    """

    measure: str
    aggregation: str
    window_seconds: int
    denominator: str | None = None
    group_by: tuple[str, ...] = ()
    filters: tuple[tuple[str, tuple[str | None, ...]], ...] = ()


@dataclass(frozen=True, slots=True)
class Threshold:
    """A value against one or two fixed thresholds.

    The value is ``query``'s, times ``scale``. While an alert fires, a level that it has reached is held against a
    threshold that lies back by ``hysteresis`` (in the value's unit), so that it is left later than it was reached.
    """

    query: Query
    comparison: Comparison
    warning: float | None = None
    critical: float | None = None
    hysteresis: float = 0.0
    scale: float = 1.0


@dataclass(frozen=True, slots=True)
class BurnWindow:
    """A pair of windows; both must burn the error budget ``factor`` times too fast."""

    long_seconds: int
    short_seconds: int
    factor: float
    severity: Severity


@dataclass(frozen=True, slots=True)
class BurnRate:
    """Multi-window, multi-burn-rate (The Site Reliability Workbook, chapter 5).

    The burn rate is the ratio of ``errors`` to ``total`` over ``1 - objective``.
    """

    errors: str
    total: str
    objective: float
    windows: tuple[BurnWindow, ...]
    group_by: tuple[str, ...] = ()
    filters: tuple[tuple[str, tuple[str | None, ...]], ...] = ()


Condition = Threshold | BurnRate


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule; all durations are in seconds.

    ``samples`` fewer than ``min_samples`` count as no data. ``for_seconds`` is how long a breach must last,
    ``keep_firing_seconds`` how long it must be over. An alert that fires and has had no data for
    ``no_data_seconds`` tells so; with ``no_data_severity`` it fires for lack of data alone.
    ``unit`` is ``ms``, ``percent`` (of a ratio: 0.05 reads 5 %), ``usd``, ``score``, ``x``, ``s`` or empty.
    ``version`` counts its changes, from 1.
    """

    name: str
    group: str
    condition: Condition
    min_samples: int = 1
    for_seconds: float = 0.0
    keep_firing_seconds: float = 0.0
    cooldown_seconds: float = 900.0
    no_data_seconds: float = 300.0
    no_data_severity: Severity | None = None
    labels: Labels = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    actions: tuple[str, ...] = ()
    unit: str = ""
    enabled: bool = True
    version: int = 1
