"""Annotations with what they say of the alert at hand, in Prometheus' notation."""

from __future__ import annotations

import re
from collections.abc import Mapping

from alerts_svc.domain.labels import Labels
from alerts_svc.domain.rule import Rule

# The two forms that nearly all rules use; anything else between braces is text.
_PLACE = re.compile(r"\{\{\s*\$?(?:labels\.([A-Za-z_][A-Za-z0-9_]{0,99})|(value))\s*\}\}")


def annotated(
    rule: Rule | None, own: Mapping[str, str], labels: Labels, value: float | None
) -> dict[str, str]:
    """Return the annotations of an alert: those of its rule, and its own before them.

    In the rule's, ``{{ $labels.NAME }}`` becomes the label's value (nothing if there is none) and ``{{ $value }}`` the
    last value in six digits. What is put in is not looked at again.
    """
    if rule is None:
        return dict(own)

    def filled(found: re.Match[str]) -> str:
        if found[1] is not None:
            return labels.get(found[1], "")
        return "unknown" if value is None else f"{value:.6g}"

    return {name: _PLACE.sub(filled, text) for name, text in rule.annotations.items()} | dict(own)
