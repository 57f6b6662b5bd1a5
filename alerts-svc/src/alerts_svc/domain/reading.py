"""What a rule's measurements say now."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from alerts_svc.domain.severity import Severity


@dataclass(frozen=True, slots=True)
class Reading:
    """Measured values of one group of a rule, in the order of the rule's queries; ``None`` is no value.

    ``samples`` is the least number of events behind any of them.
    """

    values: tuple[float | None, ...]
    samples: float


@dataclass(frozen=True, slots=True)
class Finding:
    """A reading held against the rule: the level it reaches (``None``: none), and what it was compared with."""

    level: Severity | None
    value: float
    threshold: float
    samples: float


@dataclass(frozen=True, slots=True)
class Missing:
    """No value, or too few samples for one: ``reason`` is ``no_data`` or ``insufficient_data``."""

    reason: str
    samples: float = 0.0


@dataclass(frozen=True, slots=True)
class Failed:
    """The question could not be asked or answered; nothing is known of the alert."""

    reason: str


Outcome = Finding | Missing | Failed

# The answers of one evaluation: by query, by the values of its group_by, the value and its samples.
Group = tuple[str | None, ...]
Answer = Mapping[Group, tuple[float | None, float]]
