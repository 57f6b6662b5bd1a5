"""A message as a mail (RFC 5322): text and HTML, in the thread of its group, the same to the byte at each attempt."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from email import policy
from email.message import EmailMessage
from email.utils import format_datetime
from typing import Any

import jinja2

from alerts_svc.domain import wording
from alerts_svc.domain.labels import ALERTNAME
from alerts_svc.domain.message import Item, Message
from alerts_svc.domain.plain import plain
from alerts_svc.domain.severity import Severity
from alerts_svc.notify.lines import MOST_ITEMS, actions, addresses, facts, lines, unlisted
from alerts_svc.notify.links import Links
from alerts_svc.notify.rendering import least_line, moment

_NOT_IN_LIST_ID = re.compile(r"[^a-z0-9]+")
_COLOURS = {Severity.CRITICAL: "#b42318", Severity.WARNING: "#b54708"}
_RESOLVED = "#067647"

# Values are never templates: what stands in a label is text, escaped.
_templates = jinja2.Environment(
    loader=jinja2.PackageLoader("alerts_svc.notify"),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def render(message: Message, settings: Mapping[str, Any], links: Links) -> bytes:
    """Return the mail as it is sent."""
    mail = _headed(message, settings, wording.subject(message))
    mail.set_content("\n".join(lines(message, links)) + "\n", cte="quoted-printable")
    html = _templates.get_template("mail.html.j2").render(_context(message, links))
    mail.add_alternative(html, subtype="html", cte="quoted-printable")
    mail.set_boundary(f"=_{hashlib.sha256(message.id.encode()).hexdigest()[:40]}")
    return mail.as_bytes()


def least(message: Message, settings: Mapping[str, Any]) -> bytes:
    """Return the least of a mail, with the same id and in the same thread."""
    mail = _headed(message, settings, "[Windsock] alerts")
    mail.set_content(least_line(message) + "\n", cte="quoted-printable")
    return mail.as_bytes()


def message_id(message: Message, settings: Mapping[str, Any]) -> str:
    """Return the id of the mail: that of the message to these recipients, so a second copy has the same."""
    parts = [message.id, *sorted(settings["recipients"])]
    return _identity("message", parts, settings)


def thread_id(message: Message, settings: Mapping[str, Any]) -> str:
    """Return the id that all mails of a group answer to. No mail has it: its first one may never have arrived."""
    return _identity("thread", [message.thread], settings)


def _identity(kind: str, parts: Sequence[str], settings: Mapping[str, Any]) -> str:
    text = "\0".join(parts).encode(errors="replace")
    return f"<{kind}-{hashlib.sha256(text).hexdigest()[:32]}@{_domain(settings)}>"


def _domain(settings: Mapping[str, Any]) -> str:
    return str(settings["sender"]).rpartition("@")[2]


def _headed(message: Message, settings: Mapping[str, Any], subject: str) -> EmailMessage:
    mail = EmailMessage(policy=policy.SMTP)
    mail["From"] = f"Windsock <{settings['sender']}>"
    mail["To"] = ", ".join(settings["recipients"])
    mail["Subject"] = subject
    mail["Date"] = format_datetime(moment(message.created_at))
    mail["Message-ID"] = message_id(message, settings)
    if message.thread:
        mail["In-Reply-To"] = thread_id(message, settings)
        mail["References"] = thread_id(message, settings)
    # RFC 3834, and what Exchange understands: nobody's absence notice shall answer.
    mail["Auto-Submitted"] = "auto-generated"
    mail["X-Auto-Response-Suppress"] = "All"
    mail["List-Id"] = _list_id(message, settings)
    if message.severity is Severity.CRITICAL and message.status == "firing":
        mail["Importance"] = "high"
    return mail


def _list_id(message: Message, settings: Mapping[str, Any]) -> str:
    """Return the list of a rule (RFC 2919), or of all alerts where a mail is about several."""
    names = {item.labels.get(ALERTNAME, "") for item in message.items} or {""}
    label = _NOT_IN_LIST_ID.sub("-", names.pop().lower()).strip("-")[:60] if len(names) == 1 else ""
    own = f"{label}.alerts" if label else "alerts"
    return f"<{own}.{_domain(settings)}>"


def _context(message: Message, links: Links) -> dict[str, Any]:
    firing = message.status == "firing"
    notes = (plain(message.notice, 500), wording.counted(message))
    return {
        "headline": wording.headline(message),
        "colour": _COLOURS[message.severity] if firing else _RESOLVED,
        "notes": [text for text in notes if text],
        "alerts": [_alert(item, message, links) for item in message.items[:MOST_ITEMS]],
        "unlisted": unlisted(message, MOST_ITEMS),
        "changes": wording.changes(message),
    }


def _alert(item: Item, message: Message, links: Links) -> dict[str, Any]:
    return {
        "title": wording.title(item),
        "severity": item.severity.value,
        "status": wording.status(item),
        "facts": facts(item, message),
        "actions": actions(item),
        "links": addresses(item, message, links),
    }
