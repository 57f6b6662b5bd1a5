"""Slack's incoming webhooks: Block Kit, well within its limits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from alerts_svc.domain import wording
from alerts_svc.domain.channel import Channel
from alerts_svc.domain.message import Item, Message
from alerts_svc.domain.plain import cut, plain
from alerts_svc.notify.http import Answer, Http, classified
from alerts_svc.notify.lines import actions, addresses, facts, unlisted
from alerts_svc.notify.links import Links
from alerts_svc.notify.rendering import dumps, least_line, rendered
from alerts_svc.ports import Refused, Result, Retry, Sent

# Documented: 50 blocks. In practice blocks of 13,200 characters together are refused (slackapi/bolt-js #2509).
MAX_CHARACTERS = 9_500
_MAX_HEADER = 150
_MAX_SECTION = 2_900
_MAX_LINK = 1_000
# Of all alerts of a message but the first, so that more of them fit.
_FEW_LINKS = frozenset({"timeline", "acknowledge", "silence"})
_MOST_ITEMS = 15
_ESCAPES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})
# The webhook itself is of no use any more: nobody should call it until somebody has looked.
_GONE = frozenset(
    {
        *("invalid_token", "no_service", "no_service_id", "no_team", "team_disabled", "action_prohibited"),
        *("channel_not_found", "channel_is_archived", "no_active_hooks", "user_not_found"),
    }
)  # fmt: skip


class Slack:
    """Posts messages to a Slack channel."""

    def __init__(self, http: Http, links: Links) -> None:
        self._http = http
        self._links = links

    async def send(self, channel: Channel, message: Message, *, wall: float) -> Result:
        """Make one attempt; success is 200 with the body ``ok`` and nothing else."""
        body = rendered(message, lambda m: dumps(render(m, self._links)), _least)
        answer = await self._http.post(channel.settings["url"], body, schemes=("https",))
        return answer if isinstance(answer, Retry | Refused) else _result(answer, wall)


def _result(answer: Answer, wall: float) -> Result:
    said = answer.text().strip()
    if answer.status == 200:
        if said == "ok":
            return Sent(200)
        if not answer.whole:
            return Retry("answered 200, but the answer was cut off", 200, unknown=True)
        return Refused(f"answered 200 with {plain(said, 100) or 'nothing'} instead of ok", 200)
    if answer.status == 429:
        after = answer.asked_for(wall)
        return Retry("answered 429", 429, _retry_after(answer) if after is None else after)
    result = classified(answer, wall)
    if isinstance(result, Refused) and answer.status in {403, 404} and said in _GONE:
        return Refused(result.reason, result.status, gone=True)
    return result


class _Limited(msgspec.Struct):
    retry_after: float | None = None


def _retry_after(answer: Answer) -> float | None:
    try:
        after = msgspec.json.decode(answer.body, type=_Limited).retry_after
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    return None if after is None else min(max(after, 0.0), 3600.0)


def escaped(text: str, limit: int) -> str:
    """Return ``text`` with the three characters escaped that mean something to Slack, cut to ``limit`` before that."""
    while len(found := text.translate(_ESCAPES)) > limit:
        # An escape is at most five characters long, so this never takes too much away at once.
        text = cut(text, len(text) - max((len(found) - limit) // 5, 1))
    return found


def render(message: Message, links: Links) -> dict[str, Any]:
    """Return the message; as many alerts are listed as fit."""
    count = min(len(message.items), _MOST_ITEMS)
    blocks = _blocks(message, message.items[:count], links)
    while count > 1 and _size(blocks) > MAX_CHARACTERS:
        count -= 1
        blocks = _blocks(message, message.items[:count], links)
    return _document(escaped(wording.headline(message), 300), blocks)


def _document(text: str, blocks: list[dict[str, Any]]) -> dict[str, Any]:
    # The text is what a notification and a screen reader tell; without it Slack warns, or says nothing.
    return {"text": text, "blocks": blocks, "unfurl_links": False, "unfurl_media": False}


def _blocks(message: Message, items: Sequence[Item], links: Links) -> list[dict[str, Any]]:
    header = escaped(wording.headline(message), _MAX_HEADER)
    blocks: list[dict[str, Any]] = [
        {"type": "header", "text": {"type": "plain_text", "text": header, "emoji": False}}
    ]
    notes = [text for text in (plain(message.notice, 400), wording.counted(message)) if text]
    blocks += [_section(escaped(text, 500)) for text in notes]
    for number, item in enumerate(items):
        blocks.append(_section(_first(item, message) if number == 0 else _short(item, message)))
        if linked := _links(item, message, links, all_of_them=number == 0):
            blocks.append(_context(linked))
    if left := unlisted(message, len(items)):
        blocks.append(_context(f"and {left} more"))
    if recent := wording.changes(message):
        lines = "\n".join(f"• {escaped(line, 250)}" for line in recent)
        blocks.append(_section(f"*Changed lately*\n{lines}"))
    return blocks


def _first(item: Item, message: Message) -> str:
    """Return the first alert of a message in full."""
    lines = [f"*{escaped(wording.title(item), 250)}*"]
    lines += [f"*{label}*: {escaped(text, 350)}" for label, text in facts(item, message)]
    if doing := actions(item):
        lines += ["*what to do*", *(f"• {escaped(text, 200)}" for text in doing[:5])]
    return _whole(lines)


def _short(item: Item, message: Message) -> str:
    """Return one of the other alerts."""
    head = f"[{item.severity.upper()}] {wording.status(item)}"
    lines = [f"{escaped(head, 100)}: *{escaped(wording.title(item), 250)}*"]
    parts = [wording.compared(item), f"since {wording.since(item, message.created_at)}"]
    lines.append(escaped(" · ".join(part for part in parts if part), 250))
    return _whole(lines)


def _whole(lines: list[str]) -> str:
    """Return as many lines as a section takes; half an escape or link would be worse than none."""
    found = lines[0]
    for line in lines[1:]:
        if len(found) + 1 + len(line) > _MAX_SECTION:
            break
        found += "\n" + line
    return found


def _links(item: Item, message: Message, links: Links, *, all_of_them: bool) -> str:
    """Return the links that fit in one element; a long one of somebody's must not keep ours out."""
    found = ""
    for label, address in addresses(item, message, links):
        if not all_of_them and label not in _FEW_LINKS:
            continue
        part = f"<{address.translate(_ESCAPES).replace('|', '%7C')}|{label.capitalize()}>"
        joined = f"{found} · {part}" if found else part
        if len(part) <= _MAX_LINK and len(joined) <= _MAX_SECTION:
            found = joined
    return found


def _section(text: str) -> dict[str, Any]:
    return {"type": "section", "text": {"type": "mrkdwn", "text": text, "verbatim": True}}


def _context(text: str) -> dict[str, Any]:
    return {"type": "context", "elements": [{"type": "mrkdwn", "text": text, "verbatim": True}]}


def _size(block: object) -> int:
    """Return the number of characters of all texts."""
    if isinstance(block, dict):
        own = block.get("text")
        inner = sum(map(_size, block.values()))
        return inner + (len(own) if isinstance(own, str) else 0)
    return sum(map(_size, block)) if isinstance(block, list) else 0


def _least(message: Message) -> bytes:
    text = escaped(least_line(message), 500)
    return dumps({"text": text, "blocks": [_section(text)]})
