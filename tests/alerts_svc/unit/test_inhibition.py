"""What inhibits what."""

from __future__ import annotations

from alerts_svc.domain.alert import Alert, Incident
from alerts_svc.domain.configuration import Inhibition
from alerts_svc.domain.inhibition import Inhibitor
from alerts_svc.domain.matcher import Matcher
from alerts_svc.domain.routing import labelled
from alerts_svc.domain.severity import Severity

WORSE = Inhibition(
    "worse", (Matcher("severity", "critical"),), (Matcher("severity", "warning"),), ("operation",)
)
ANY = Inhibition("any", (Matcher("kind", "down"),), ())


def fired(
    name: str, severity: Severity = Severity.WARNING, *, at: float = 0.0, **labels: str
) -> Alert:
    incident = Incident(name, at, 1, severity)
    return Alert(name, labels, "rule", incident=incident)


def source(inhibition: Inhibition, alert: Alert, *others: Alert) -> str | None:
    return Inhibitor((inhibition,), (alert, *others)).source(alert, labelled(alert))


def test_a_source_inhibits_what_matches_and_has_equal_labels() -> None:
    warning = fired("w", operation="answer")

    assert source(WORSE, warning, fired("c", Severity.CRITICAL, operation="answer")) == "c"
    assert source(WORSE, warning, fired("c", Severity.CRITICAL, operation="search")) is None


def test_a_label_that_is_missing_equals_an_empty_one() -> None:
    warning = fired("w", operation="")

    assert source(WORSE, warning, fired("c", Severity.CRITICAL)) == "c"


def test_an_alert_without_an_open_incident_inhibits_nothing() -> None:
    pending = Alert("c", {"operation": "answer", "kind": "down"})
    over = Alert(
        "o", {"kind": "down"}, incident=Incident("o", 0, 2, Severity.WARNING, resolved_at=1)
    )

    assert source(ANY, fired("w", operation="answer"), pending, over) is None


def test_nothing_inhibits_itself() -> None:
    alone = fired("a", kind="down")

    assert source(ANY, alone) is None


def test_two_that_are_source_and_target_do_not_inhibit_each_other() -> None:
    one, other = fired("a", kind="down"), fired("b", kind="down")

    assert source(ANY, one, other) is None
    assert source(ANY, fired("c"), one, other) == "a"


def test_the_oldest_source_is_named_so_that_the_reason_stays() -> None:
    younger, older = fired("a", at=2.0, kind="down"), fired("b", at=1.0, kind="down")

    assert source(ANY, fired("c"), younger, older) == "b"
