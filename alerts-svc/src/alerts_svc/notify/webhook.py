"""Webhooks of people's own: Alertmanager's body of version 4, signed as Standard Webhooks says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from alerts_svc.domain import wording
from alerts_svc.domain.alert import Change
from alerts_svc.domain.channel import Channel
from alerts_svc.domain.labels import ALERTNAME, SEVERITY
from alerts_svc.domain.message import ChangeEvent, Details, Item, Message
from alerts_svc.domain.plain import plain, plain_map
from alerts_svc.notify import signature
from alerts_svc.notify.http import Http, classified
from alerts_svc.notify.links import Links
from alerts_svc.notify.rendering import dumps, fitting, least_line, rendered, rfc3339
from alerts_svc.ports import Refused, Result, Retry

# Standard Webhooks: "best under 20 kB".
MAX_BYTES = 20_000
_FEW = 10
_SHORT = 200
_TELLING = (ALERTNAME, SEVERITY, "operation", "summary", "impact")
# Go's zero time, which Alertmanager sends for an end that has not come.
ZERO_TIME = "0001-01-01T00:00:00Z"
# Alertmanager 0.33 gives these reasons; receivers of ours may read them.
_REASONS = {
    "first": "first notification",
    "new": "new alerts added",
    "escalated": "new alerts added",
    "resolved": "some alerts resolved",
    "all_resolved": "all alerts resolved",
    "reminder": "repeat interval elapsed",
}


class Webhook:
    """Posts messages to a receiver."""

    def __init__(self, http: Http, links: Links) -> None:
        self._http = http
        self._links = links

    async def send(self, channel: Channel, message: Message, *, wall: float) -> Result:
        """Make one attempt; its id is the message's, its signature is of this moment."""
        body = rendered(message, lambda m: render(m, self._links), _least)
        signed = signature.headers(
            message.id, int(wall), body, signing_secrets(channel.settings, wall)
        )
        headers = {**channel.settings.get("headers", {}), **signed}
        answer = await self._http.post(channel.settings["url"], body, headers)
        return answer if isinstance(answer, Retry | Refused) else classified(answer, wall)


def signing_secrets(settings: Mapping[str, Any], wall: float) -> list[str]:
    """Return the secrets to sign with: the one that was replaced too, as long as it is still good."""
    found = [settings["secret"]] if settings.get("secret") else []
    previous = settings.get("previous_secret")
    if previous and wall < (settings.get("previous_until") or 0):
        found.append(previous)
    return found


def render(message: Message, links: Links, *, limit: int = MAX_BYTES) -> bytes:
    """Return the body; what does not fit in ``limit`` bytes is counted in ``truncatedAlerts``."""
    count = len(message.items)
    body = fitting(lambda n: dumps(_content(message, message.items[:n], links)), count, limit)
    if len(body) > limit:
        # A single alert with long texts: fewer and shorter ones.
        some = message.items[:1]
        body = dumps(_content(message, some, links, names=_FEW, longest=_SHORT))
    return body


def _content(
    message: Message,
    items: Sequence[Item],
    links: Links,
    *,
    names: int = 64,
    longest: int = 1024,
) -> dict[str, Any]:
    alerts = [_alert(item, message, links, names, longest) for item in items]
    return {
        "version": "4",
        "groupKey": plain(message.group_key, 2 * longest),
        "truncatedAlerts": message.truncated + len(message.items) - len(items),
        "status": message.status,
        "receiver": message.channel,
        "groupLabels": plain_map(message.group_labels, names=names, limit=longest),
        "commonLabels": _common([alert["labels"] for alert in alerts]),
        "commonAnnotations": _common([alert["annotations"] for alert in alerts]),
        "externalURL": links.external_url,
        "notification_reason": _REASONS.get(message.reason, "unknown"),
        "alerts": alerts,
        "windsock": _own(message, items, links),
    }


def _alert(item: Item, message: Message, links: Links, names: int, longest: int) -> dict[str, Any]:
    labels = plain_map(foremost(item.labels), names=names, limit=longest)
    labels.setdefault(SEVERITY, item.severity.value)
    over = item.change is Change.RESOLVED
    source = links.dashboard(item) if message.reason == "test" else links.timeline(item)
    return {
        "status": "resolved" if over else "firing",
        "labels": labels,
        "annotations": plain_map(foremost(item.annotations), names=names, limit=longest),
        "startsAt": rfc3339(item.starts_at),
        "endsAt": ZERO_TIME if item.ends_at is None else rfc3339(max(item.ends_at, item.starts_at)),
        "generatorURL": plain(item.generator_url, 2048) or source,
        "fingerprint": item.fingerprint,
    }


def foremost(values: Mapping[str, str]) -> dict[str, str]:
    """Return the same with what tells most in front: where not all fit, these must."""
    return {name: values[name] for name in _TELLING if name in values} | dict(values)


def _common(maps: Sequence[dict[str, str]]) -> dict[str, str]:
    if not maps:
        return {}
    pairs = set(maps[0].items()).intersection(*(other.items() for other in maps[1:]))
    return dict(sorted(pairs))


def _own(message: Message, items: Sequence[Item], links: Links) -> dict[str, Any]:
    """Return what Alertmanager has no words for; times are RFC 3339, in the order of ``alerts``."""
    found: dict[str, Any] = {
        "type": f"alerts.{message.reason}",
        "id": message.id,
        "timestamp": rfc3339(message.created_at),
        "reason": message.reason,
        "severity": message.severity.value,
        "thread": message.thread,
        "summary": wording.headline(message),
        "counts": message.counts,
        "alerts": [_own_alert(item, message, links) for item in items],
    }
    if message.notice:
        found["notice"] = plain(message.notice, 500)
    if message.details is not None:
        found["details"] = details(message.details)
    if message.changes:
        found["changes"] = [change(event) for event in message.changes[:10]]
    return found


def _own_alert(item: Item, message: Message, links: Links) -> dict[str, Any]:
    found = {"dashboard": links.dashboard(item)}
    # A test is about no incident, so there is nothing to look at, acknowledge or silence.
    if message.reason != "test":
        found |= {
            "timeline": links.timeline(item),
            "acknowledge": links.acknowledge(item, at=message.created_at),
            "silence": links.silence(item, at=message.created_at),
        }
    return facts(item, message) | {"links": found}


def facts(item: Item, message: Message) -> dict[str, Any]:
    """Return what is known of an alert, as JSON."""
    return {
        "incident": item.incident,
        "sequence": item.sequence,
        "change": None if item.change is None else item.change.value,
        "severity": item.severity.value,
        "value": item.value,
        "threshold": item.threshold,
        "comparison": item.comparison,
        "unit": item.unit,
        "window_seconds": item.window_seconds,
        "samples": item.samples,
        "impact": wording.impact(item, message.details),
        "actions": [plain(action, 300) for action in item.actions[:10]],
    }


def details(found: Details) -> dict[str, Any]:
    """Return the details as JSON."""
    return {
        "operations": [plain(name, 120) for name in found.operations[:20]],
        "average_ms": found.average_ms,
        "error_rate": found.error_rate,
        "cost_per_hour_usd": found.cost_per_hour_usd,
        "top": [{"name": plain(name, 120), "share": share} for name, share in found.top[:5]],
        "note": plain(found.note, 200),
    }


def change(event: ChangeEvent) -> dict[str, str]:
    """Return something that people changed, as JSON."""
    return {
        "kind": plain(event.kind, 40),
        "name": plain(event.name, 120),
        "description": plain(event.description, 300),
        "author": plain(event.author, 120),
        "at": rfc3339(event.at),
    }


def _least(message: Message) -> bytes:
    """Return the smallest body that a receiver of Alertmanager's can read."""
    items = message.items[:20]
    return dumps(
        {
            "version": "4",
            "groupKey": plain(message.group_key, 200),
            "truncatedAlerts": message.truncated + len(message.items) - len(items),
            "status": plain(message.status, 20),
            "receiver": plain(message.channel, 120),
            "groupLabels": {},
            "commonLabels": {},
            "commonAnnotations": {"summary": least_line(message)},
            "externalURL": "",
            "alerts": [
                {
                    "status": "resolved" if item.change is Change.RESOLVED else "firing",
                    "labels": {"alertname": plain(item.labels.get("alertname", ""), 200)},
                    "annotations": {},
                    "startsAt": rfc3339(item.starts_at),
                    "endsAt": ZERO_TIME if item.ends_at is None else rfc3339(item.ends_at),
                    "generatorURL": "",
                    "fingerprint": plain(item.fingerprint, 64),
                }
                for item in items
            ],
            "windsock": {"id": message.id, "reason": plain(message.reason, 40)},
        }
    )
