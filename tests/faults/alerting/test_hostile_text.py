"""Texts that strangers chose, on all channels at once: everybody is told, and nobody is tricked."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import httpx
import orjson

from tests.alerts_svc.mail_server import MailServer, mail_server
from tests.alerts_svc.receivers import (
    PagerDutyReceiver,
    SlackReceiver,
    WebhookReceiver,
    running,
)
from tests.faults.alerting.scripted_metrics import ScriptedMetrics
from tests.faults.alerting.service import AlertsService, rule
from tests.faults.alerting.telling import eventually, of, told

AlertsFor = Callable[..., AlertsService]

ATTACKS = (
    "\r\nBcc: everybody@elsewhere.test\r\n\r\nbody",
    "<!channel> <!here> <@U012AB3CD>",
    "<http://elsewhere.test|Acknowledge>",
    '"><script>alert(1)</script><img src=x onerror=alert(1)>',
    "{{7*7}} ${7*7} {% for x in y %} #{7*7}",
    "%s%n%d {0} {operation.__class__.__mro__}",
    "$(touch /tmp/x) `id` ; rm -rf",
    "\x1b[31mred\x1b[0m \x1b]0;title\x07 \x9b1m",
    "nul\x00nul",
    "SURROGATE",
    "\u202egpj.exe\u2066 \u200bzero\u200b",
    "\u2028line\u2029paragraph\x85next",
    "a\N{COMBINING ACUTE ACCENT}" * 40,
)
LONG = "long " + "\N{PILE OF POO}" * 250_000
# Half of a surrogate pair, which no encoder of ours would write.
HALF = b"\\ud83d"
# What no reader of a terminal, a mail or a chat shall be sent as it is.
UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\u200b\ud800-\udfff]"
)


@dataclass
class Everybody:
    """A receiver of each kind."""

    webhook: WebhookReceiver
    slack: SlackReceiver
    pagerduty: PagerDutyReceiver
    mail: MailServer

    def heard(self) -> list[int]:
        """Return how many messages each has taken."""
        found = [len(one.accepted) for one in (self.webhook, self.slack, self.pagerduty)]
        return [*found, len(self.mail.taken)]

    async def made_known_to(self, service: AlertsService) -> None:
        """Make a channel of each."""
        channels: dict[str, dict[str, Any]] = {
            "webhook": {"url": self.webhook.url},
            "slack": {"url": self.slack.url},
            "pagerduty": {"url": self.pagerduty.url, "routing_key": "0" * 32},
            "email": {
                "host": "127.0.0.1",
                "port": self.mail.port,
                "security": "none",
                "sender": "windsock@windsock.test",
                "recipients": ["oncall@windsock.test"],
            },
        }
        for kind, settings in channels.items():
            body = {"name": kind, "kind": kind, "settings": settings}
            made = await service.call("POST", "/api/alerts/channels", body)
            if kind == "webhook":
                self.webhook.secrets = [made["secret"]]


async def test_hostile_texts_reach_everybody_as_text(
    alerts_url: str, alerts_for: AlertsFor, metrics: ScriptedMetrics
) -> None:
    """Fault 18: header lines, mentions, markup, templates, control characters, no text at all, and 1 MB of it."""
    service = alerts_for(alerts_url)
    await service.start()
    async with AsyncExitStack() as stack:
        everybody = Everybody(
            await stack.enter_async_context(running(WebhookReceiver())),
            await stack.enter_async_context(running(SlackReceiver())),
            await stack.enter_async_context(running(PagerDutyReceiver())),
            await stack.enter_async_context(mail_server(security="none")),
        )
        await everybody.made_known_to(service)
        await service.set_rule(hostile_rule())
        operation = " ".join(ATTACKS)[:1_000]
        metrics.set("performance.errors", 0.5, operation=operation)
        await eventually(lambda: everybody.heard() == [1, 1, 1, 1], "all are told of our own")
        await posted(service, ends_at="null")
        await eventually(lambda: everybody.heard() == [2, 2, 2, 2], "all are told of the other's")
        metrics.set("performance.errors", 0.0, operation=operation)
        await posted(service, ends_at='"2020-01-01T00:00:02Z"', starts_at='"2020-01-01T00:00:01Z"')
        await posted(service, ends_at="now")
        await eventually(lambda: everybody.heard() == [4, 4, 4, 4], "all are told of both ends")
        listed = await service.call("GET", "/api/alerts/history?limit=1000")

    assert of(told(everybody.webhook), "Hostile") == ["fired", "resolved"]
    assert len(listed["incidents"]) == 2
    check_http(everybody)
    check_mails(everybody.mail)
    check_console(service)


def hostile_rule() -> dict[str, Any]:
    """Return a rule with all of it in its texts, as far as a rule may have it."""
    text = " ".join(attack for attack in ATTACKS if "\0" not in attack)
    texts = {"summary": text, "impact": text, "runbook_url": "javascript:alert(1)"}
    levels = rule("Hostile")["condition"] | {"critical": 10.0}
    return rule("Hostile", condition=levels, annotations=texts, recommended_actions=[text])


async def posted(service: AlertsService, *, ends_at: str, starts_at: str = "null") -> None:
    """Post an alert with everything in it, some of it no text at all."""
    texts = {f"attack_{number}": attack for number, attack in enumerate(ATTACKS)}
    labels = {"alertname": "Posted", "severity": "critical", "operation": ATTACKS[0], **texts}
    alert = {
        "labels": labels | {"long": LONG},
        "annotations": {"summary": " ".join(ATTACKS), "description": LONG, **texts},
        "generatorURL": "javascript:alert(1)//\r\n<!channel>",
        "startsAt": "STARTS",
        "endsAt": "ENDS",
    }
    if ends_at == "now":
        ends_at = f'"{datetime.now(UTC).isoformat()}"'
    body = orjson.dumps([alert]).replace(b"SURROGATE", HALF)
    body = body.replace(b'"STARTS"', starts_at.encode()).replace(b'"ENDS"', ends_at.encode())
    async with httpx.AsyncClient(timeout=10) as client:
        answer = await client.post(f"{service.url}/api/v2/alerts", content=body)
    assert answer.status_code == 200, answer.text


def check_http(everybody: Everybody) -> None:
    """See that receivers took all, and that nothing in it works."""
    receivers = (everybody.webhook, everybody.slack, everybody.pagerduty)
    assert [one.problems for one in receivers] == [[], [], []]
    bodies = [one.body for receiver in receivers for one in receiver.accepted]
    assert max(map(len, bodies)) < 64_000
    assert max(len(one.body) for one in everybody.webhook.accepted) <= 20_000
    for one in everybody.slack.accepted:
        text = orjson.dumps(one.json).decode()
        assert not re.search(r"<(?!http://127\.0\.0\.1:8000/)", text), text
        assert "<!channel>" not in text
        assert not UNSEEN.search("".join(texts(one.json)).replace("\n", ""))
    for one in everybody.pagerduty.accepted:
        assert not UNSEEN.search("".join(texts(one.json)).replace("\n", ""))


def check_mails(server: MailServer) -> None:
    """See that a mail has its own headers and recipients only, and in its HTML no markup but ours."""
    known = {
        *("From", "To", "Subject", "Date", "Message-ID", "In-Reply-To", "References", "Auto-Submitted"),
        *("X-Auto-Response-Suppress", "List-Id", "Importance", "MIME-Version", "Content-Type"),
    }  # fmt: skip
    for mail in server.taken:
        assert mail.recipients == ["oncall@windsock.test"]
        assert set(mail.parsed.keys()) <= known
        assert mail.parsed.defects == []
        assert not UNSEEN.search(str(mail.parsed["Subject"]))
        assert not UNSEEN.search(mail.part("plain").replace("\r", ""))
        html = mail.part("html")
        assert not re.search(r"(?i)<(script|img|iframe|svg)|href=.javascript:", html)
        assert "&lt;script&gt;" in html
        assert "{{7*7}}" in html
        assert len(mail.raw) < 200_000


def check_console(service: AlertsService) -> None:
    """See that each alert is one line of JSON, and that nothing reaches a terminal that it would obey."""
    log = service.log.read_bytes().decode()
    lines = service.said("alert")
    assert [line["status"] for line in lines].count("firing") == 2
    assert [line["status"] for line in lines].count("resolved") == 2
    assert not UNSEEN.search(log.replace("\r", "\x00"))
    assert max(len(line.encode()) for line in log.splitlines() if '"alert"' in line) <= 16_000
    assert "49" not in "".join(line["summary"] for line in lines)


def texts(found: object) -> list[str]:
    """Return all texts of a document."""
    if isinstance(found, str):
        return [found]
    if isinstance(found, dict):
        return [text for pair in found.items() for part in pair for text in texts(part)]
    return [text for one in found for text in texts(one)] if isinstance(found, list) else []
