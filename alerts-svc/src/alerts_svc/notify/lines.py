"""A message as lines of text, for a terminal and for mail."""

from __future__ import annotations

from alerts_svc.domain import wording
from alerts_svc.domain.alert import Change
from alerts_svc.domain.message import Item, Message
from alerts_svc.domain.plain import plain
from alerts_svc.notify.links import Links

MOST_ITEMS = 10
_WIDTH = 13


def lines(message: Message, links: Links) -> list[str]:
    """Return the message: what, how much against which limit, since when, what it means, what to do, where to look."""
    found = [wording.headline(message)]
    found += [text for text in (plain(message.notice, 500), wording.counted(message)) if text]
    for item in message.items[:MOST_ITEMS]:
        found += ["", *_item(item, message, links)]
    if left := unlisted(message, MOST_ITEMS):
        found += ["", f"and {left} more"]
    if recent := wording.changes(message):
        found += ["", "Changed lately:", *(f"  - {line}" for line in recent)]
    return found


def unlisted(message: Message, shown: int) -> int:
    """Return how many alerts a message is about beyond the first ``shown``."""
    return max(len(message.items) - shown, 0) + message.truncated


def facts(item: Item, message: Message) -> list[tuple[str, str]]:
    """Return what is known of an alert, each with its name; the details stand with the first."""
    pairs = [
        ("operation", wording.operation(item)),
        ("labels", wording.labels(item)),
        ("last value" if item.change is Change.NO_DATA else "current", wording.compared(item)),
        ("window", wording.window(item)),
        ("since", wording.since(item, message.created_at)),
        ("impact", wording.impact(item, message.details)),
    ]
    if item is message.items[0]:
        pairs += wording.detail_pairs(message.details)
    return [(label, text) for label, text in pairs if text]


def addresses(item: Item, message: Message, links: Links) -> list[tuple[str, str]]:
    """Return the links of an alert, each with its name; what is over needs no acknowledging, a test nothing."""
    if message.reason == "test":
        return []
    ours = item.rule is not None
    first = ("dashboard", links.dashboard(item)) if ours else ("source", _web(item.generator_url))
    runbook = ("runbook", _web(item.annotations.get("runbook_url", "")))
    found = [pair for pair in (first, ("timeline", links.timeline(item)), runbook) if pair[1]]
    if item.change is not Change.RESOLVED:
        at = message.created_at
        found.append(("acknowledge", links.acknowledge(item, at=at)))
        found.append(("silence", links.silence(item, at=at)))
    return found


def _web(text: str) -> str:
    """Return an address of the web, empty for anything else: a link must not do more than lead somewhere."""
    address = plain(text, 1000)
    return address if address.startswith(("https://", "http://")) and " " not in address else ""


def actions(item: Item) -> list[str]:
    """Return what the rule recommends to do, unless it is over."""
    if item.change is Change.RESOLVED:
        return []
    return [text for action in item.actions[:10] if (text := plain(action, 300))]


def _item(item: Item, message: Message, links: Links) -> list[str]:
    found = [f"[{item.severity.upper()}] {wording.status(item)}: {wording.title(item)}"]
    if len(message.items) == 1:
        found = []
    found += [f"  {label:<{_WIDTH}}{text}" for label, text in facts(item, message)]
    if doing := actions(item):
        found += ["  what to do", *(f"    - {text}" for text in doing)]
    return found + [
        f"  {label:<{_WIDTH}}{address}" for label, address in addresses(item, message, links)
    ]
