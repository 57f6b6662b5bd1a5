"""Answers to trials of a rule."""

from __future__ import annotations

from collections import Counter
from typing import Any

from alerts_svc.domain.alert import Alert
from alerts_svc.domain.assessment import queries
from alerts_svc.domain.backtest import Backtest, Episode
from alerts_svc.domain.reading import Finding, Outcome
from alerts_svc.domain.rule import Rule
from alerts_svc.domain.severity import Severity
from alerts_svc.wire.times import instant
from alerts_svc.wire.trials import Past

Answer = dict[str, Any]
MAX_EPISODES = 1_000


def tell_trial(alert: Alert, outcome: Outcome, samples: float, *, known: bool) -> Answer:
    """Return what a rule says of one group now; ``alert`` is as that evaluation would leave it."""
    finding = outcome if isinstance(outcome, Finding) else None
    return {
        "fingerprint": alert.fingerprint,
        "labels": dict(alert.labels),
        "value": None if finding is None else finding.value,
        "threshold": None if finding is None else finding.threshold,
        "samples": samples,
        "level": None if finding is None else finding.level,
        "state": alert.state,
        "reason": None if isinstance(outcome, Finding) else outcome.reason,
        "known": known,
    }


def tell_backtest(rule: Rule, past: Past, found: Backtest, notes: list[str]) -> Answer:
    """Return what a rule would have done."""
    severities = Counter(episode.severity for episode in found.episodes)
    return {
        "rule": rule.name,
        "from": instant(past.begin),
        "to": instant(past.end),
        "step_seconds": found.step_seconds,
        "groups": found.groups,
        "notes": notes,
        "counts": {
            "episodes": len(found.episodes),
            "warning": severities[Severity.WARNING],
            "critical": severities[Severity.CRITICAL],
            "pages": found.pages,
        },
        "hours_firing": round(found.firing_seconds(past.begin, past.end) / 3600, 3),
        "episodes": [_episode(episode) for episode in found.episodes[:MAX_EPISODES]],
        "truncated": max(0, len(found.episodes) - MAX_EPISODES),
    }


def _episode(episode: Episode) -> Answer:
    return {
        "labels": dict(episode.labels),
        "severity": episode.severity,
        "from": instant(episode.starts_at),
        "to": instant(episode.ends_at),
        "peak": episode.peak,
        "pages": [instant(at) for at in episode.pages],
    }


def approximations(rule: Rule, step_seconds: int) -> list[str]:
    """Say how a backtest differs from evaluations as they would have been."""
    notes = [
        f"Looked at every {step_seconds} s; evaluations are more frequent, so what lasted less than that may be missing."
    ]
    windows = sorted({query.window_seconds for query in queries(rule)})
    percentile = any(query.aggregation.startswith("p") for query in queries(rule))
    if windows[0] < step_seconds:
        notes.append(
            f"A window of {windows[0]} s is shorter than a step, so each step was taken as one window."
        )
    if windows[-1] > step_seconds:
        notes.append(
            "Windows longer than a step were put together from steps"
            + (
                ": a percentile of several steps is the average of theirs, weighted by their samples."
                if percentile
                else "."
            )
        )
    notes.append("Cooldown is counted in pages; silences, inhibitions and mute windows are not.")
    return notes
