"""Which silence holds back an alert."""

from __future__ import annotations

from collections.abc import Iterable

from alerts_svc.domain.labels import Labels
from alerts_svc.domain.matcher import Matcher
from alerts_svc.domain.silence import Silence


class Silencer:
    """The silences in force at one time, found by a label that they ask for, where they ask for one."""

    def __init__(self, silences: Iterable[Silence], *, wall: float) -> None:
        self._by_label: dict[tuple[str, str], list[Silence]] = {}
        self._others: list[Silence] = []
        for silence in silences:
            if silence.active(wall):
                self._place(silence)

    def _place(self, silence: Silence) -> None:
        exact = next(filter(_is_exact, silence.matchers), None)
        if exact is None:
            self._others.append(silence)
        else:
            self._by_label.setdefault((exact.name, exact.value), []).append(silence)

    def all(self, labels: Labels) -> list[Silence]:
        """Return every silence that holds the alert back, the one that ends last first."""
        candidates = list(self._others)
        if self._by_label:
            for pair in labels.items():
                candidates.extend(self._by_label.get(pair, ()))
        found = [
            silence
            for silence in candidates
            if all(matcher.matches(labels) for matcher in silence.matchers)
        ]
        return sorted(found, key=lambda silence: (-silence.ends_at, silence.id))

    def first(self, labels: Labels) -> Silence | None:
        """Return the silence that holds the alert back the longest, if there is one."""
        return next(iter(self.all(labels)), None)


def _is_exact(matcher: Matcher) -> bool:
    return matcher.is_equal and not matcher.is_regex and matcher.value != ""
