"""What is said, in plain words: numbers with their unit, times, states, subjects."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime

from alerts_svc.domain.alert import Change
from alerts_svc.domain.labels import ALERTNAME, SEVERITY
from alerts_svc.domain.message import Details, Item, Message
from alerts_svc.domain.plain import cut, plain
from alerts_svc.domain.severity import Severity

_COMPARED = {">": "above", ">=": "at least", "<": "below", "<=": "at most"}
# What an alert is about, the first of it first.
_WHERE = ("operation", "model", "target", "channel", "instance", "gap_priority", "environment")
# Labels that are the same for all alerts of a rule of ours.
_ROUTING = ("signal", "category", "group")
_MOST_LABELS = 8
_PLACES = 3
_MOST_PLACES = 6

_STATUS = {
    Change.FIRED: "firing",
    Change.ESCALATED: "escalated",
    Change.DEESCALATED: "less severe",
    Change.NO_DATA: "no data",
    Change.RESUMED: "firing",
    Change.REMINDER: "still firing",
    Change.ACKNOWLEDGED: "acknowledged",
    Change.RESOLVED: "resolved",
}


def number(value: float, places: int = _PLACES) -> str:
    """Return a number to a few significant digits, without exponents where they can be done without."""
    if not math.isfinite(value):
        return "not a number" if math.isnan(value) else ("infinite" if value > 0 else "-infinite")
    if value == 0:
        return "0"
    if not 1e-4 <= abs(value) < 1e12:
        return f"{value:.{places - 1}e}"
    digits = max(places - 1 - math.floor(math.log10(abs(value))), 0)
    text = f"{value:,.{digits}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def quantity(value: float | None, unit: str, places: int = _PLACES) -> str:
    """Return a value with its unit; ``percent`` is the unit of a ratio."""
    if value is None:
        return "unknown"
    match unit:
        case "percent":
            return f"{number(value * 100, places)} %"
        case "usd":
            return f"{'-' if value < 0 else ''}${_money(abs(value), places)}"
        case "":
            return number(value, places)
        case "score":
            return f"{number(value, places)} points"
    return f"{number(value, places)} {plain(unit, 20)}"


def _money(value: float, places: int) -> str:
    """Return an amount to the cent, or to a few digits where it is less than a dime."""
    cents = 0.1 <= value < 1e12 and (places == _PLACES or round(value, 2) == value)
    return f"{value:,.2f}" if cents else number(value, places)


def current(item: Item) -> str:
    """Return the value, with as many digits as it takes to tell it from the threshold."""
    text = quantity(item.value, item.unit)
    if item.value is None or item.threshold is None or item.value == item.threshold:
        return text
    for places in range(_PLACES, _MOST_PLACES + 1):
        text = quantity(item.value, item.unit, places)
        if text != quantity(item.threshold, item.unit, places):
            break
    return text


def limit(item: Item) -> str:
    """Return what the value is held against, such as ``above 5 %``; empty where there is nothing."""
    if item.threshold is None:
        return ""
    words = _COMPARED.get(item.comparison, "")
    return f"{words} {quantity(item.threshold, item.unit, _MOST_PLACES)}".strip()


def compared(item: Item) -> str:
    """Return the value against the limit: ``6.2 % (limit: above 5 %)``."""
    if item.value is None and item.threshold is None:
        return ""
    against = limit(item)
    return f"{current(item)} (limit: {against})" if against else current(item)


def duration(seconds: float) -> str:
    """Return a length of time in its two largest units."""
    if not math.isfinite(seconds):
        return "unknown"
    left = max(round(seconds), 0)
    parts = []
    for unit, length in (("day", 86_400), ("h", 3600), ("min", 60), ("s", 1)):
        count, left = divmod(left, length)
        if count:
            parts.append(f"{count} {unit}{'s' if unit == 'day' and count > 1 else ''}")
    return " ".join(parts[:2]) or "0 s"


def moment(at: float) -> str:
    """Return a time of day in UTC."""
    try:
        return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    except (ValueError, OverflowError, OSError):
        return "unknown"


def since(item: Item, now: float) -> str:
    """Return since when, and for how long; or from when until when."""
    if item.ends_at is not None:
        length = duration(item.ends_at - item.starts_at)
        return f"{moment(item.starts_at)} until {moment(item.ends_at)} ({length})"
    return f"{moment(item.starts_at)} (for {duration(now - item.starts_at)})"


def window(item: Item) -> str:
    """Return what the value covers: its window and how many events are behind it."""
    parts = [] if item.window_seconds is None else [f"last {duration(item.window_seconds)}"]
    if item.samples > 0:
        parts.append(f"{number(item.samples, 12)} event{'' if item.samples == 1 else 's'}")
    return ", ".join(parts)


def status(item: Item) -> str:
    """Return what became of an alert, in a word or two."""
    if item.change is Change.ACKNOWLEDGED and item.acknowledged_by:
        return f"acknowledged by {plain(item.acknowledged_by, 60)}"
    return "still firing" if item.change is None else _STATUS[item.change]


def name(item: Item) -> str:
    """Return the alert's name."""
    return plain(item.labels.get(ALERTNAME, "") or item.rule or "alert", 120)


def title(item: Item) -> str:
    """Return what is wrong and where, in one line: the rule's summary or else its name, and what it does not say yet."""
    what = plain(item.annotations.get("summary", ""), 200) or name(item)
    values = (plain(item.labels.get(key, ""), 60) for key in _WHERE)
    about = ", ".join(dict.fromkeys(value for value in values if not _says(what, value)))
    return f"{what}: {about}" if about else what


def _says(text: str, value: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(value)}(?!\w)", text) is not None if value else True


def labels(item: Item) -> str:
    """Return the labels that tell the alert from others of its rule, without the operation."""
    known = {ALERTNAME, SEVERITY, *_ROUTING, "operation"}
    pairs = [
        f"{plain(key, 40)}={plain(value, 60)}"
        for key, value in sorted(item.labels.items())
        if key not in known and value
    ]
    more = f" and {len(pairs) - _MOST_LABELS} more" if len(pairs) > _MOST_LABELS else ""
    return ", ".join(pairs[:_MOST_LABELS]) + more


def operation(item: Item) -> str:
    """Return the operation, empty where the alert is about none or all."""
    return plain(item.labels.get("operation", ""), 120)


def impact(item: Item, details: Details | None) -> str:
    """Return what it means to people: the rule's own words, or what the details tell."""
    if item.change is Change.RESOLVED:
        return "none any more: it is over"
    if item.change is Change.NO_DATA:
        return "nothing is known of it at the moment: it may be worse, or over"
    own = plain(item.annotations.get("impact", ""), 400)
    if own:
        return own
    return _felt(item, details) or (
        "users are affected now"
        if item.severity is Severity.CRITICAL
        else "not critical yet; users may notice"
    )


def _felt(item: Item, details: Details | None) -> str:
    where = f" of {operation(item)}" if operation(item) else ""
    if item.unit == "ms" and item.value is not None:
        return f"requests{where} take {quantity(item.value, 'ms')}: people wait"
    if item.unit == "usd" and item.value is not None and item.value > 0:
        return f"money is spent faster than planned: {quantity(item.value, 'usd')}"
    if item.unit == "score":
        return f"answers{where} are worse than they should be"
    rate = None if details is None else details.error_rate
    if rate is not None and rate > 0:
        return f"about 1 in {number(max(round(1 / rate), 1))} requests{where} fails"
    return ""


def detail_pairs(details: Details | None) -> list[tuple[str, str]]:
    """Return the details that are known, each with its name."""
    if details is None:
        return []
    pairs = []
    if details.operations:
        shown = ", ".join(plain(entry, 60) for entry in details.operations[:10])
        more = len(details.operations) - 10
        pairs.append(("operations", f"{shown} and {more} more" if more > 0 else shown))
    if details.average_ms is not None:
        pairs.append(("average", quantity(details.average_ms, "ms")))
    if details.error_rate is not None:
        pairs.append(("errors", quantity(details.error_rate, "percent")))
    if details.top:
        shares = (f"{plain(who, 60)} ({quantity(s, 'percent')})" for who, s in details.top[:3])
        pairs.append(("most of it", ", ".join(shares)))
    if details.cost_per_hour_usd is not None:
        pairs.append(("cost", f"{quantity(details.cost_per_hour_usd, 'usd')} an hour"))
    if details.note:
        pairs.append(("note", plain(details.note, 200)))
    return pairs


def changes(message: Message, most: int = 5) -> list[str]:
    """Return what people changed lately, a line each, the newest first."""
    newest = sorted(message.changes, key=lambda change: -change.at)
    lines = []
    for change in newest[:most]:
        by = f" by {plain(change.author, 60)}" if change.author else ""
        what = f": {plain(change.description, 160)}" if change.description else ""
        kind = plain(change.kind, 20)
        lines.append(f"{moment(change.at)} {kind} {plain(change.name, 80)}{by}{what}")
    if len(newest) > most:
        lines.append(f"and {len(newest) - most} more")
    return lines


def counted(message: Message) -> str:
    """Return how many alerts fire, are over and are new; empty for a single one."""
    if len(message.items) + message.truncated < 2:
        return ""
    words = [
        f"{count} {plain(key, 20).replace('_', ' ')}"
        for key, count in message.counts.items()
        if count
    ]
    if message.truncated:
        words.append(f"{message.truncated} not listed")
    return ", ".join(words)


def headline(message: Message) -> str:
    """Return the message in one line, with its status."""
    if not message.items:
        return "Test of this channel" if message.reason == "test" else plain(message.reason, 40)
    firing = message.status == "firing"
    first = next((i for i in message.items if i.change is not Change.RESOLVED), message.items[0])
    said = status(first) if firing else "resolved"
    if message.reason == "test":
        said = "test"
    more = len(message.items) + message.truncated - 1
    rest = f" (and {more} more)" if more > 0 else ""
    return f"[{message.severity.upper()}] {said}: {title(first)}{rest}"


def subject(message: Message, most: int = 160) -> str:
    """Return the subject of a mail: the same for all mails of a group, so that they make one thread."""
    if message.reason == "test":
        return f"[Windsock] Test of channel {plain(message.channel, 60)}"
    labels = dict(message.group_labels)
    what = plain(labels.pop(ALERTNAME, ""), 100) or "alerts"
    about = ", ".join(
        f"{plain(key, 40)}={plain(labels[key], 60)}" for key in sorted(labels) if labels[key]
    )
    return cut(f"[Windsock] {what}{f' ({about})' if about else ''}", most)
