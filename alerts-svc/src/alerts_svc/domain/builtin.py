"""The service's alerts about itself: they fire, are routed and resolve as any other."""

from __future__ import annotations

from collections.abc import Mapping

from alerts_svc.domain.channel import Channel
from alerts_svc.domain.labels import ALERTNAME, Labels
from alerts_svc.domain.reading import Finding
from alerts_svc.domain.rule import Comparison, Query, Rule, Threshold
from alerts_svc.domain.severity import Severity

EVALUATION_IMPAIRED = "EvaluationImpaired"
CHANNEL_FAILING = "ChannelFailing"
NAMES = frozenset({EVALUATION_IMPAIRED, CHANNEL_FAILING})

GROUP = "windsock"
CHANNEL = "channel"
GIVEN_UP = 3


def rules(*, impaired_after_seconds: float = 15.0) -> Mapping[str, Rule]:
    """Return the built-in rules by name; nobody can change them, and nothing else may have their names.

    Their conditions are there to be read: no query measures them, ``evaluation`` and ``channel`` do.
    """
    return {
        rule.name: rule for rule in (_evaluation_impaired(impaired_after_seconds), _CHANNEL_FAILING)
    }


def labels(name: str, *, channel: str | None = None) -> Labels:
    """Return what identifies a built-in alert; ``ChannelFailing`` is one alert per channel."""
    base = {ALERTNAME: name, "group": GROUP}
    return base if channel is None else {**base, CHANNEL: channel}


def evaluation(*, failing: bool, away_seconds: float = 0.0, after_seconds: float = 15.0) -> Finding:
    """Return whether evaluations fail now; how long they must is the rule's ``for``.

    ``away_seconds`` is for how long they have, and stands in the message against ``after_seconds``.
    """
    return Finding(Severity.CRITICAL if failing else None, away_seconds, after_seconds, 1.0)


def channel(found: Channel, *, given_up: int) -> Finding:
    """Return whether a channel fails: the service has stopped using it, or its last deliveries were given up.

    ``given_up`` counts them, back from the last. What people have disabled themselves does not fail.
    """
    # What the service has stopped using is not enabled any more either.
    fails = found.disabled_reason is not None or (found.enabled and given_up >= GIVEN_UP)
    return Finding(Severity.WARNING if fails else None, float(given_up), float(GIVEN_UP), 1.0)


def _evaluation_impaired(after_seconds: float) -> Rule:
    return Rule(
        name=EVALUATION_IMPAIRED,
        group=GROUP,
        condition=Threshold(
            Query("seconds_without_evaluation", "max", 10),
            Comparison.AT_LEAST,
            critical=after_seconds,
        ),
        for_seconds=after_seconds,
        labels={"group": GROUP},
        annotations={
            "summary": "Alerts cannot be evaluated",
            "impact": "metrics-svc does not answer, or PostgreSQL does not, so nobody would hear of anything else. What"
            " fires stays as it is; nothing is resolved meanwhile.",
        },
        actions=(
            "See whether metrics-svc answers: GET /api/metrics/readyz, and its log.",
            "See whether PostgreSQL runs and takes connections, that of metrics-svc and that of alerts-svc.",
        ),
        unit="s",
    )


_CHANNEL_FAILING = Rule(
    name=CHANNEL_FAILING,
    group=GROUP,
    condition=Threshold(
        Query("deliveries_given_up", "max", 10), Comparison.AT_LEAST, warning=float(GIVEN_UP)
    ),
    labels={"group": GROUP},
    annotations={
        "summary": "A channel does not deliver",
        "impact": "Its messages go to the fallback channel and the console instead.",
    },
    actions=(
        "See the channel's last attempts: GET /api/alerts/deliveries?channel=NAME.",
        "Repair its settings and send a test: POST /api/alerts/channels/NAME/test.",
        "Send again what was given up: POST /api/alerts/deliveries/ID/replay.",
    ),
)
