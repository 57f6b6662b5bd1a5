"""Mail servers that put off, refuse, hang up, or cannot be trusted: nothing is lost, nothing goes in the clear."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from tests.alerts_svc.certificates import Authority
from tests.alerts_svc.mail_server import MailServer, mail_server
from tests.faults.alerting.scripted_metrics import ScriptedMetrics
from tests.faults.alerting.service import PATIENT, AlertsService, rule
from tests.faults.alerting.telling import eventually

AlertsFor = Callable[..., AlertsService]
ANA, BO = "ana@team.example", "bo@team.example"
DISTRUSTED = "the mail server's certificate cannot be trusted: "
# What becomes of the message on each channel: where it is, how each attempt ended, and what is said of it.
OUTCOMES = {
    "greylisting": ("sent", ["retry", "sent"], ""),
    "refusing-one": ("sent", ["sent"], f"not taken for {BO}: 550 5.1.1 no such user"),
    "hanging-up": ("sent", ["unknown", "sent"], ""),
    "in-the-clear": (
        "failed",
        ["refused"],
        "the mail server does not offer STARTTLS, which is required",
    ),
    "self-signed": ("failed", ["refused"], DISTRUSTED),
    "of-another-name": ("failed", ["refused"], DISTRUSTED),
}
FAILING = [name for name, (status, _, _) in OUTCOMES.items() if status == "failed"]


async def mail_channels(
    service: AlertsService, stack: AsyncExitStack, authority: Authority
) -> dict[str, MailServer]:
    """Make a channel for each server, and return them."""
    trusted = authority.server("localhost")
    certificates: dict[str, ssl.SSLContext | None] = {
        "in-the-clear": None,
        "self-signed": Authority().server("localhost"),
        "of-another-name": authority.server("another.example"),
    }
    servers = {}
    for name in OUTCOMES:
        server = await stack.enter_async_context(mail_server(certificates.get(name, trusted)))
        servers[name] = server
        settings = {
            "host": "localhost",
            "port": server.port,
            "security": "starttls",
            "username": "windsock",
            "password": server.password,
            "sender": "windsock@alerts.example",
            "recipients": [ANA, BO],
        }
        body = {"name": name, "kind": "email", "settings": settings}
        await service.call("POST", "/api/alerts/channels", body)
    later = "451 4.7.1 greylisted, try again later"
    servers["greylisting"].once = {ANA: later, BO: later}
    servers["refusing-one"].recipients = {BO: "550 5.1.1 no such user"}
    servers["hanging-up"].data.append("cut")
    return servers


async def ended(service: AlertsService) -> dict[str, dict[str, Any]]:
    """Return what became of the page on each channel, where that is known."""
    listed = await service.call("GET", "/api/alerts/deliveries")
    found = {}
    for each in listed["deliveries"]:
        if each["channel"] in OUTCOMES and each["status"] != "waiting":
            path = f"/api/alerts/deliveries/{each['id']}"
            found[each["channel"]] = await service.call("GET", path)
    return found


def notices(service: AlertsService) -> list[str]:
    """Return what the console was told instead of other channels."""
    return [line["notice"] for line in service.said("alert") if "notice" in line]


async def test_mail_arrives_or_somebody_hears_why_not(
    alerts_url: str, alerts_for: AlertsFor, metrics: ScriptedMetrics, tmp_path: Path
) -> None:
    """Fault 9: a copy has the same id, only who refused is named, and without TLS to the right server nothing is said."""
    authority = Authority()
    settings = {
        "SSL_CERT_FILE": str(authority.bundle(tmp_path)),
        "ALERTS_ALLOWED_TARGETS": "127.0.0.1,localhost",
    }
    service = alerts_for(alerts_url, **PATIENT, **settings)
    await service.start()
    async with AsyncExitStack() as stack:
        servers = await mail_channels(service, stack, authority)
        await service.set_rule(rule("Failing"))

        breached = time.monotonic()
        metrics.set("performance.errors", 0.5, samples=15, operation="chat")
        good = [server for name, server in servers.items() if name not in FAILING]
        await eventually(lambda: all(server.taken for server in good), "the mails arrive")
        await eventually(lambda: len(servers["hanging-up"].mails) == 2, "the copy arrives")
        await eventually(lambda: len(notices(service)) == len(FAILING), "the console says why not")
        took = time.monotonic() - breached
        deliveries = await ended(service)

    for name, (status, outcomes, reason) in OUTCOMES.items():
        found = deliveries[name]
        assert found["status"] == status, name
        assert [each["outcome"] for each in found["tries"]] == outcomes, name
        assert (found["reason"] or "").startswith(reason), name
    first, copy = servers["hanging-up"].mails
    assert first.parsed["Message-ID"] == copy.parsed["Message-ID"]
    assert "451" in deliveries["greylisting"]["tries"][0]["reason"]
    [late] = servers["greylisting"].mails
    [alone] = servers["refusing-one"].mails
    assert late.recipients == [ANA, BO]
    assert alone.recipients == [ANA]
    assert ANA not in deliveries["refusing-one"]["reason"]
    assert all(mail.encrypted for server in good for mail in server.mails)
    for name in FAILING:
        assert servers[name].mails == []
        assert set(servers[name].commands) <= {"EHLO", "STARTTLS"}
        [notice] = [text for text in notices(service) if f"channel {name}:" in text]
        assert OUTCOMES[name][2] in notice
    assert took < 60
