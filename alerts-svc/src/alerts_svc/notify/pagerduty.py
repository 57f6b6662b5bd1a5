"""PagerDuty's Events API v2: one incident of ours is one incident there, by its deduplication key."""

from __future__ import annotations

from typing import Any

from alerts_svc.domain import wording
from alerts_svc.domain.alert import Change
from alerts_svc.domain.channel import Channel
from alerts_svc.domain.message import Item, Message
from alerts_svc.domain.plain import plain, plain_map
from alerts_svc.domain.severity import Severity
from alerts_svc.notify.channel_settings import PAGERDUTY_URL
from alerts_svc.notify.http import Http, classified
from alerts_svc.notify.lines import actions, addresses
from alerts_svc.notify.links import Links
from alerts_svc.notify.rendering import dumps, least_line, rendered, rfc3339
from alerts_svc.ports import Refused, Result, Retry

MAX_BYTES = 512_000
_MAX_SUMMARY = 1024
_MAX_KEY = 255
_MAX_HREF = 2000

Event = dict[str, Any]


class PagerDuty:
    """Posts events; 202 says that one was taken, the rest happens there."""

    def __init__(self, http: Http, links: Links) -> None:
        self._http = http
        self._links = links

    async def send(self, channel: Channel, message: Message, *, wall: float) -> Result:
        """Make one attempt; a message holds one incident, and a test opens one and closes it."""
        events = rendered(message, lambda m: render(m, self._links), _least)
        result: Result = Refused("the message has no incident")
        for event in events:
            result = await self._post(channel, event, wall)
            if isinstance(result, Retry | Refused):
                break
        return result

    async def _post(self, channel: Channel, event: Event, wall: float) -> Result:
        body = dumps({"routing_key": channel.settings["routing_key"], **event})
        url = channel.settings.get("url", PAGERDUTY_URL)
        answer = await self._http.post(url, body, schemes=("https",))
        return answer if isinstance(answer, Retry | Refused) else classified(answer, wall)


def render(message: Message, links: Links) -> list[Event]:
    """Return the events that a message is told with, without the key of the channel."""
    if message.reason == "test" or not message.items:
        return _test(message)
    told = [item for item in message.items if item.change is not None]
    return [_event(item, message, links) for item in told or message.items[:1]]


def _action(item: Item, message: Message) -> str:
    if item.change is Change.RESOLVED:
        return "resolve"
    acknowledged = item.change is Change.ACKNOWLEDGED or message.reason == "acknowledged"
    return "acknowledge" if acknowledged else "trigger"


def _event(item: Item, message: Message, links: Links) -> Event:
    action = _action(item, message)
    event: Event = {"event_action": action, "dedup_key": plain(item.incident, _MAX_KEY)}
    if action != "trigger":
        return event
    event |= {
        "client": "Windsock",
        "client_url": links.timeline(item),
        "links": [
            {"href": address, "text": label}
            for label, address in addresses(item, message, links)
            if len(address) <= _MAX_HREF
        ],
        "payload": _payload(item, message),
    }
    if len(dumps(event)) > MAX_BYTES - 1000:
        event["payload"]["custom_details"] = {"note": "the details are too large to be sent"}
    return event


def _payload(item: Item, message: Message) -> dict[str, Any]:
    return {
        "summary": plain(_summary(item), _MAX_SUMMARY),
        "severity": "critical" if item.severity is Severity.CRITICAL else "warning",
        "source": wording.operation(item)
        or plain(item.labels.get("instance", ""), 200)
        or "windsock",
        "timestamp": rfc3339(item.starts_at),
        "component": wording.operation(item) or "windsock",
        "group": plain(message.group_key, 200),
        "class": wording.name(item),
        "custom_details": _details(item, message),
    }


def _summary(item: Item) -> str:
    text = ", ".join(part for part in (wording.title(item), wording.compared(item)) if part)
    said = wording.status(item)
    return text if item.change in {None, Change.FIRED} else f"[{said}] {text}"


def _details(item: Item, message: Message) -> dict[str, Any]:
    found: dict[str, Any] = {
        "status": wording.status(item),
        "last value" if item.change is Change.NO_DATA else "current": wording.compared(item),
        "window": wording.window(item),
        "since": wording.since(item, message.created_at),
        "impact": wording.impact(item, message.details),
        "what to do": actions(item),
        "changed lately": wording.changes(message),
        "notice": plain(message.notice, 500),
        "labels": plain_map(item.labels),
        "annotations": plain_map(item.annotations),
        "sequence": item.sequence,
    }
    found |= dict(wording.detail_pairs(message.details))
    return {key: value for key, value in found.items() if value}


def _test(message: Message) -> list[Event]:
    key = f"test-{message.id}"[:_MAX_KEY]
    payload = {
        "summary": f"Test of channel {plain(message.channel, 100)}: nothing is wrong",
        "severity": "info",
        "source": "windsock",
        "timestamp": rfc3339(message.created_at),
    }
    return [
        {"event_action": "trigger", "dedup_key": key, "payload": payload},
        {"event_action": "resolve", "dedup_key": key},
    ]


def _least(message: Message) -> list[Event]:
    """Return events that say the least, each with the key that the resolve will have too."""
    payload = {"summary": least_line(message), "severity": "critical", "source": "windsock"}
    return [
        {
            "event_action": _action(item, message),
            "dedup_key": plain(item.incident, _MAX_KEY),
            "payload": payload,
        }
        for item in message.items
    ]
