"""Mail over real SMTP: encryption, refusals, what is unknown, and threads."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import replace
from typing import Any

import pytest
import pytest_asyncio

from alerts_svc.domain.channel import Channel, Kind
from alerts_svc.notify.email import PATIENCE_SECONDS, Email
from alerts_svc.notify.guard import Guard
from alerts_svc.notify.links import Links
from alerts_svc.notify.smtp import Smtp
from alerts_svc.notify.transports import make_transports
from alerts_svc.ports import Refused, Retry, Sent, Transport
from tests.alerts_svc.certificates import Authority
from tests.alerts_svc.mail_server import mail_server
from tests.alerts_svc.messages import MESSAGE, NOW, RESOLVED
from windsock_kit.testing import FakeClock

LINKS = Links("https://windsock.example", b"key")


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


@pytest_asyncio.fixture(scope="module")
async def email(authority: Authority) -> AsyncGenerator[Transport]:
    async with make_transports(
        guard=Guard("127.0.0.1, localhost"),
        links=LINKS,
        tls=authority.client(),
        timeout_seconds=1.0,
    ) as transports:
        yield transports["email"]


def channel(port: int, **settings: Any) -> Channel:
    return Channel(
        "oncall",
        Kind.EMAIL,
        {
            "host": "localhost",
            "port": port,
            "security": "starttls",
            "sender": "windsock@alerts.example",
            "recipients": ["ana@team.example", "bo@team.example"],
        }
        | settings,
    )


async def test_mail_goes_encrypted_to_all_recipients(
    email: Transport, authority: Authority
) -> None:
    async with mail_server(authority.server("localhost")) as server:
        result = await email.send(channel(server.port), MESSAGE, wall=NOW)

    assert result == Sent(250)
    [mail] = server.mails
    assert mail.encrypted
    assert mail.recipients == ["ana@team.example", "bo@team.example"]
    assert "12.4 % (limit: above 10 %)" in mail.part("plain")
    assert "12.4 % (limit: above 10 %)" in mail.part("html")


async def test_login_happens_over_tls(email: Transport, authority: Authority) -> None:
    async with mail_server(authority.server("localhost")) as server:
        right = channel(server.port, username="windsock", password="correct")
        wrong = channel(server.port, username="windsock", password="not-the-right-one")
        sent = await email.send(right, MESSAGE, wall=NOW)
        refused = await email.send(wrong, MESSAGE, wall=NOW)

    assert sent == Sent(250)
    assert [mail.user for mail in server.mails] == ["windsock"]
    assert isinstance(refused, Refused)
    assert refused.status == 535
    assert "not-the-right-one" not in refused.reason


async def test_nothing_goes_in_the_clear_where_starttls_is_missing(email: Transport) -> None:
    async with mail_server() as server:
        settings = channel(server.port, username="windsock", password="correct")
        result = await email.send(settings, MESSAGE, wall=NOW)

    assert isinstance(result, Refused)
    assert "STARTTLS" in result.reason
    assert set(server.commands) <= {"EHLO"}
    assert server.mails == []


@pytest.mark.parametrize("security", ["starttls", "tls"])
async def test_certificate_of_somebody_else_is_refused(
    email: Transport, authority: Authority, security: Any
) -> None:
    for tls in (Authority().server("localhost"), authority.server("another.example")):
        async with mail_server(tls, security=security) as server:
            result = await email.send(channel(server.port, security=security), MESSAGE, wall=NOW)

        assert isinstance(result, Refused)
        assert "certificate cannot be trusted" in result.reason
        assert server.mails == []


async def test_tls_from_the_first_byte(email: Transport, authority: Authority) -> None:
    async with mail_server(authority.server("localhost"), security="tls") as server:
        result = await email.send(channel(server.port, security="tls"), MESSAGE, wall=NOW)

    assert result == Sent(250)
    assert server.mails[0].encrypted


async def test_greylisted_mail_is_tried_again_with_the_same_id(
    email: Transport, authority: Authority
) -> None:
    async with mail_server(authority.server("localhost")) as server:
        later = "451 4.7.1 try again later"
        server.once |= {"ana@team.example": later, "bo@team.example": later}
        first = await email.send(channel(server.port), MESSAGE, wall=NOW)
        server.data.append("451 4.3.0 not now")
        second = await email.send(channel(server.port), MESSAGE, wall=NOW + 1)
        third = await email.send(channel(server.port), MESSAGE, wall=NOW + 2)

    assert isinstance(first, Retry)
    assert "451" in first.reason
    assert isinstance(second, Retry)
    assert not second.unknown
    assert third == Sent(250)
    assert server.mails[0].raw == server.mails[1].raw


async def test_recipient_that_is_refused_for_good_is_named_and_the_other_gets_it(
    email: Transport, authority: Authority
) -> None:
    async with mail_server(authority.server("localhost")) as server:
        server.recipients["bo@team.example"] = "550 5.1.1 no such user"
        result = await email.send(channel(server.port), MESSAGE, wall=NOW)

    assert isinstance(result, Sent)
    assert "bo@team.example: 550" in result.note
    assert "ana" not in result.note
    assert [mail.recipients for mail in server.mails] == [["ana@team.example"]]


async def test_recipient_who_must_wait_gets_it_later_and_the_other_only_once(
    email: Transport, authority: Authority
) -> None:
    async with mail_server(authority.server("localhost")) as server:
        server.once["bo@team.example"] = "451 4.7.1 greylisted"
        first = await email.send(channel(server.port), MESSAGE, wall=NOW)
        second = await email.send(channel(server.port), MESSAGE, wall=NOW + 5)

    assert isinstance(first, Retry)
    assert second == Sent(250)
    assert [mail.recipients for mail in server.mails] == [["ana@team.example"], ["bo@team.example"]]
    assert len({mail.parsed["Message-ID"] for mail in server.mails}) == 1


async def test_recipient_who_must_wait_for_long_does_not_hold_up_the_others(
    authority: Authority,
) -> None:
    clock = FakeClock()
    smtp = Smtp(Guard("localhost"), authority.client(), timeout=1.0)
    email = Email(smtp, LINKS, clock.monotonic)
    async with mail_server(authority.server("localhost")) as server:
        server.recipients["bo@team.example"] = "451 4.7.1 greylisted"
        first = await email.send(channel(server.port), MESSAGE, wall=NOW)
        clock.advance(PATIENCE_SECONDS + 1)
        second = await email.send(channel(server.port), MESSAGE, wall=NOW)

    assert isinstance(first, Retry)
    assert isinstance(second, Sent)
    assert "bo@team.example: 451" in second.note
    assert [mail.recipients for mail in server.mails] == [["ana@team.example"]]


async def test_all_recipients_refused_is_final(email: Transport, authority: Authority) -> None:
    async with mail_server(authority.server("localhost")) as server:
        server.recipients |= dict.fromkeys(["ana@team.example", "bo@team.example"], "550 no")
        result = await email.send(channel(server.port), MESSAGE, wall=NOW)

    assert isinstance(result, Refused)
    assert result.status == 550


@pytest.mark.parametrize("end", ["cut", "silent"])
async def test_loss_after_the_final_dot_is_unknown_and_the_copy_has_the_same_id(
    email: Transport, authority: Authority, end: str
) -> None:
    async with mail_server(authority.server("localhost")) as server:
        server.data.append(end)
        first = await email.send(channel(server.port), MESSAGE, wall=NOW)
        second = await email.send(channel(server.port), MESSAGE, wall=NOW + 60)

    assert isinstance(first, Retry)
    assert first.unknown
    assert second == Sent(250)
    assert len(server.taken) == 2
    assert server.mails[0].raw == server.mails[1].raw


async def test_server_that_does_not_greet_is_given_up_in_time(
    email: Transport, authority: Authority
) -> None:
    async with mail_server(authority.server("localhost")) as server:
        server.greeting = 30.0
        result = await email.send(channel(server.port), MESSAGE, wall=NOW)

    assert isinstance(result, Retry)
    assert not result.unknown


async def test_server_that_is_away_may_come_back(email: Transport) -> None:
    async with mail_server() as server:
        port = server.port

    result = await email.send(channel(port), MESSAGE, wall=NOW)

    assert isinstance(result, Retry)
    assert not result.unknown


async def test_mails_of_a_group_make_one_thread(email: Transport, authority: Authority) -> None:
    async with mail_server(authority.server("localhost")) as server:
        await email.send(channel(server.port), MESSAGE, wall=NOW)
        await email.send(channel(server.port), RESOLVED, wall=NOW)

    fired, resolved = (mail.parsed for mail in server.mails)
    assert fired["Message-ID"] != resolved["Message-ID"]
    assert fired["References"] == resolved["References"] == resolved["In-Reply-To"]
    assert fired["Subject"] == resolved["Subject"] == "[Windsock] ErrorRate"
    assert fired["Auto-Submitted"] == "auto-generated"
    assert fired["X-Auto-Response-Suppress"] == "All"
    assert fired["List-Id"] == "<errorrate.alerts.alerts.example>"
    assert fired["Importance"] == "high"
    assert resolved["Importance"] is None


async def test_hostile_texts_stay_out_of_the_headers(
    email: Transport, authority: Authority
) -> None:
    attack = "x\r\nBcc: all@team.example\r\n\r\n<script>alert(1)</script>{{7*7}}\x00\ud800\u202e"
    item = replace(
        MESSAGE.items[0],
        labels={"alertname": attack, "operation": attack * 1000},
        annotations={"summary": attack},
    )
    hostile = replace(MESSAGE, items=(item,), group_labels={"alertname": attack})
    async with mail_server(authority.server("localhost")) as server:
        result = await email.send(channel(server.port), hostile, wall=NOW)

    assert result == Sent(250)
    [mail] = server.mails
    assert mail.parsed["Bcc"] is None
    assert mail.recipients == ["ana@team.example", "bo@team.example"]
    assert "<script>" not in mail.part("html")
    assert "{{7*7}}" in mail.part("html")
    assert max(map(len, mail.raw.split(b"\r\n"))) <= 998
    assert b"\x00" not in mail.raw


async def test_mail_that_cannot_be_rendered_still_tells(
    email: Transport, authority: Authority
) -> None:
    broken = replace(MESSAGE, items=(replace(MESSAGE.items[0], value="twelve"),))  # type: ignore[arg-type]
    async with mail_server(authority.server("localhost")) as server:
        result = await email.send(channel(server.port), broken, wall=NOW)

    assert result == Sent(250)
    assert "CRITICAL firing: ErrorRate" in server.mails[0].part("plain")
