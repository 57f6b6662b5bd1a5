"""The service's own metrics, as Prometheus names them."""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Callable, Iterator, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from alerts_svc.domain.alert import Alert, Change, State
from alerts_svc.domain.message import Message
from alerts_svc.domain.world import Changes

# A page that took longer than the last of them took too long, however much.
_NOTIFY_BUCKETS = (0.05, 0.1, 0.25, 0.5, 1, 2, 3, 5, 7.5, 10, 15, 30, 60, 120, 300)
_PAGES = frozenset({Change.FIRED, Change.ESCALATED})
# Names come from people's rules, or from elsewhere, so their number is bounded here.
MAX_NAMES = 500
OTHER = "__other__"


class Instruments:
    """What ``GET /metrics`` tells of rules, alerts and deliveries."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.evaluations = Counter(
            "alerts_evaluations", "Evaluations, by how they ended.", ["outcome"], registry=registry
        )
        self.evaluation_seconds = Histogram(
            "alerts_evaluation_duration_seconds",
            "Time from the questions to the commit.",
            registry=registry,
        )
        self.evaluation_lag = Gauge(
            "alerts_evaluation_lag_seconds",
            "How late the last periodic evaluation began.",
            registry=registry,
        )
        self.rules = Gauge("alerts_rules", "Rules that are evaluated.", registry=registry)
        self.lease = Gauge(
            "alerts_lease_held", "Whether this process is the one that acts.", registry=registry
        )
        self.transitions = Counter(
            "alerts_transitions", "Transitions of incidents.", ["change"], registry=registry
        )
        self.messages = Counter(
            "alerts_messages",
            "Messages put in the outbox, by reason.",
            ["reason"],
            registry=registry,
        )
        self.attempts = Counter(
            "alerts_attempts",
            "Attempts to deliver, by kind of channel and how they ended.",
            ["kind", "outcome"],
            registry=registry,
        )
        self.queued = Gauge(
            "alerts_outbox_messages",
            "Messages that wait, by channel.",
            ["channel"],
            registry=registry,
        )
        self.inbox = Counter(
            "alerts_inbox_commands", "Commands of people and senders acted on.", registry=registry
        )
        self._notify = Histogram(
            "alerts_time_to_notify_seconds",
            "Time to notify of what fired: event to seen, seen to decided, decided to delivered, and in total.",
            ["stage"],
            buckets=_NOTIFY_BUCKETS,
            registry=registry,
        )
        self._states = Gauge(
            "alerts_alerts", "Alerts that are not at rest, by state.", ["state"], registry=registry
        )
        self._registry = registry

    def watch(
        self, *, alerts: Callable[[], Mapping[str, Alert]], acting: Callable[[], bool]
    ) -> None:
        """Tell what these say whenever somebody asks; only the one that acts tells of alerts."""
        self.lease.set_function(lambda: float(acting()))
        for state in State:
            if state is not State.INACTIVE:
                self._states.labels(state).set_function(_counting(alerts, state))
        self._registry.register(_Alerts(alerts))

    def committed(self, changes: Changes) -> None:
        """Note what a decision has changed."""
        for transition in changes.transitions:
            self.transitions.labels(transition.change.value).inc()
        for message in changes.messages:
            self._decided(message)
        self.inbox.inc(len(changes.consumed))

    def _decided(self, message: Message) -> None:
        self.messages.labels(message.reason).inc()
        for item in message.items:
            if item.change in _PAGES and item.seen_at is not None:
                if item.event_at is not None:
                    self._stage("seen", item.seen_at - item.event_at)
                self._stage("decided", message.created_at - item.seen_at)

    def delivered(self, message: Message, *, wall: float) -> None:
        """Note a message that its receiver has taken."""
        pages = [item for item in message.items if item.change in _PAGES]
        if not pages:
            return
        self._stage("delivered", wall - message.created_at)
        for item in pages:
            if item.event_at is not None:
                self._stage("total", wall - item.event_at)

    def _stage(self, stage: str, seconds: float) -> None:
        self._notify.labels(stage).observe(max(0.0, seconds))


def _counting(alerts: Callable[[], Mapping[str, Alert]], state: State) -> Callable[[], float]:
    return lambda: float(sum(alert.state is state for alert in alerts().values()))


class _Alerts(Collector):
    """Prometheus's own series of alerts, with how many there are of each instead of one for each."""

    def __init__(self, alerts: Callable[[], Mapping[str, Alert]]) -> None:
        self._alerts = alerts

    def collect(self) -> Iterator[Metric]:
        """Count the alerts that are pending or have an incident open."""
        found: Tally[tuple[str, str, str]] = Tally()
        names: set[str] = set()
        for alert in self._alerts().values():
            if alert.active_at is None and alert.incident is None:
                continue
            name = alert.labels.get("alertname", "")
            if name not in names and len(names) >= MAX_NAMES:
                name = OTHER
            names.add(name)
            state = "pending" if alert.incident is None else "firing"
            severity = alert.severity.value if alert.severity is not None else ""
            found[name, state, severity] += 1
        family = GaugeMetricFamily(
            "ALERTS",
            "Alerts that are pending or fire.",
            labels=["alertname", "alertstate", "severity"],
        )
        for key, count in found.items():
            family.add_metric(list(key), float(count))
        yield family
