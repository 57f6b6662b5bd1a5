"""Matchers: conditions on labels, in Alertmanager's notation."""

from __future__ import annotations

from dataclasses import dataclass

from alerts_svc.domain.labels import Labels


@dataclass(frozen=True, slots=True)
class Matcher:
    """``name = value``, ``!=``, ``=~`` or ``!~``; a label that is not there reads as empty."""

    name: str
    value: str
    is_regex: bool = False
    is_equal: bool = True

    def matches(self, labels: Labels) -> bool:
        """Return whether the label set satisfies the matcher; a regular expression must match whole values."""
        raise NotImplementedError
