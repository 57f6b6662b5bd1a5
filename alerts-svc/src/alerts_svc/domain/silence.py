"""Silences, as Alertmanager has them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from alerts_svc.domain.matcher import Matcher


@dataclass(frozen=True, slots=True)
class Silence:
    """Holds back what matches all ``matchers`` from ``starts_at`` up to ``ends_at`` (Unix seconds, wall clock)."""

    id: str
    matchers: Sequence[Matcher]
    starts_at: float
    ends_at: float
    created_by: str
    comment: str
    updated_at: float = 0.0

    def active(self, wall: float) -> bool:
        """Return whether it is in force at a time of the wall clock."""
        return self.starts_at <= wall < self.ends_at
