"""How bad it is."""

from __future__ import annotations

from enum import StrEnum


class Severity(StrEnum):
    """The two levels that a rule of ours may have; alerts from elsewhere may carry any label."""

    WARNING = "warning"
    CRITICAL = "critical"

    @property
    def rank(self) -> int:
        """Return a number that grows with the severity; nothing at all would be 0."""
        return 1 if self is Severity.WARNING else 2


def rank(severity: Severity | None) -> int:
    """Return the rank of a severity, 0 for none."""
    return 0 if severity is None else severity.rank
