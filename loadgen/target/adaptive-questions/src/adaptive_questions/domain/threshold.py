"""How good a question must be to be given out as it is."""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

from adaptive_questions.domain.gap import Priority

FIXED: Final = 7.0
BY_PRIORITY: Final = MappingProxyType(
    {Priority.CRITICAL: 7.5, Priority.HIGH: 7.0, Priority.MEDIUM: 6.0, Priority.LOW: 5.5}
)


def threshold(priority: Priority, *, dynamic: bool) -> float:
    """Return the score, of 0 to 10, below which a question is refined."""
    return BY_PRIORITY[priority] if dynamic else FIXED
