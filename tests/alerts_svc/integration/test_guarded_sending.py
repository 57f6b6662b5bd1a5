"""Webhooks over real HTTP: what is sent, what each answer means, and where nothing is sent."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Sequence
from dataclasses import replace
from email.utils import formatdate
from typing import Any

import pytest
import pytest_asyncio

from alerts_svc.domain.channel import Channel, Kind
from alerts_svc.notify.guard import Guard
from alerts_svc.notify.links import Links
from alerts_svc.notify.transports import make_transports
from alerts_svc.ports import Refused, Retry, Sent, Transport
from tests.alerts_svc.certificates import Authority
from tests.alerts_svc.messages import HEARTBEAT, MESSAGE, NOW
from tests.alerts_svc.receivers import Reply, WebhookReceiver, running

LINKS = Links("https://windsock.example", b"key")
SECRET = "whsec_" + "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OTHER = "whsec_" + "C2FVsBQIhrscChlQIMV+b5sSYspob7oD"


@pytest_asyncio.fixture(scope="module")
async def webhook() -> AsyncGenerator[Transport]:
    async with make_transports(
        guard=Guard("127.0.0.1"), links=LINKS, timeout_seconds=0.7
    ) as transports:
        yield transports["webhook"]


@pytest_asyncio.fixture
async def receiver() -> AsyncGenerator[WebhookReceiver]:
    async with running(WebhookReceiver(secrets=[SECRET])) as found:
        yield found


def channel(url: str, **settings: Any) -> Channel:
    return Channel("here", Kind.WEBHOOK, {"url": url, "secret": SECRET, **settings})


async def test_receiver_of_standard_webhooks_takes_it(
    webhook: Transport, receiver: WebhookReceiver
) -> None:
    wall = time.time()
    settings = channel(receiver.url, headers={"Authorization": "Bearer of-the-receiver"})

    result = await webhook.send(settings, MESSAGE, wall=wall)

    assert result == Sent(204)
    assert receiver.problems == []
    [request] = receiver.received
    assert request.id == MESSAGE.id
    assert request.headers["webhook-timestamp"] == str(int(wall))
    assert request.headers["authorization"] == "Bearer of-the-receiver"
    assert request.headers["content-type"] == "application/json"
    assert request.json["alerts"][0]["labels"]["alertname"] == "ErrorRate"


async def test_during_rotation_a_receiver_may_know_either_secret(
    webhook: Transport, receiver: WebhookReceiver
) -> None:
    wall = time.time()
    rotated = channel(receiver.url, secret=OTHER, previous_secret=SECRET, previous_until=wall + 60)
    over = channel(receiver.url, secret=OTHER, previous_secret=SECRET, previous_until=wall - 1)

    with_old = await webhook.send(rotated, MESSAGE, wall=wall)
    receiver.secrets = [OTHER]
    with_new = await webhook.send(rotated, MESSAGE, wall=wall)
    receiver.secrets = [SECRET]
    too_late = await webhook.send(over, MESSAGE, wall=wall)

    assert with_old == with_new == Sent(204)
    assert isinstance(too_late, Refused)


@pytest.mark.parametrize("status", [500, 502, 503, 504, 408, 425])
async def test_failures_that_may_pass(
    webhook: Transport, receiver: WebhookReceiver, status: int
) -> None:
    receiver.standing = Reply(status, body=b"upstream is away")

    result = await webhook.send(channel(receiver.url), MESSAGE, wall=time.time())

    assert result == Retry(f"answered {status}: upstream is away", status)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 301, 302, 307])
async def test_failures_that_are_final(
    webhook: Transport, receiver: WebhookReceiver, status: int
) -> None:
    receiver.standing = Reply(status, {"Location": "http://127.0.0.1/"})

    result = await webhook.send(channel(receiver.url), MESSAGE, wall=time.time())

    assert isinstance(result, Refused)
    assert result.status == status
    assert not result.gone
    assert len(receiver.received) == 1


async def test_gone_is_told(webhook: Transport, receiver: WebhookReceiver) -> None:
    receiver.standing = Reply(410)

    result = await webhook.send(channel(receiver.url), MESSAGE, wall=time.time())

    assert isinstance(result, Refused)
    assert result.gone


async def test_retry_after_is_read_in_both_forms(
    webhook: Transport, receiver: WebhookReceiver
) -> None:
    date = {"Retry-After": formatdate(NOW + 30, usegmt=True), "Date": formatdate(NOW, usegmt=True)}
    receiver.replies.extend([Reply(429, {"Retry-After": "30"}), Reply(429, date)])

    seconds = await webhook.send(channel(receiver.url), MESSAGE, wall=time.time())
    at = await webhook.send(channel(receiver.url), MESSAGE, wall=time.time())

    assert isinstance(seconds, Retry)
    assert seconds.after == 30
    assert isinstance(at, Retry)
    assert at.after == 30


@pytest.mark.parametrize(
    "reply",
    [Reply(delay=30), Reply(500, drip=0.1), Reply(reset="before")],
    ids=["silent", "dripping", "reset"],
)
async def test_receiver_that_does_not_end_is_cut_off(
    webhook: Transport, receiver: WebhookReceiver, reply: Reply
) -> None:
    receiver.standing = reply
    started = time.monotonic()

    result = await webhook.send(channel(receiver.url), MESSAGE, wall=time.time())

    assert isinstance(result, Retry)
    assert time.monotonic() - started < 20


async def test_what_may_have_arrived_is_unknown(
    webhook: Transport, receiver: WebhookReceiver
) -> None:
    receiver.replies.extend([Reply(delay=30), Reply(reset="before")])

    silent = await webhook.send(channel(receiver.url), MESSAGE, wall=time.time())
    cut = await webhook.send(channel(receiver.url), MESSAGE, wall=time.time())
    async with running(WebhookReceiver()) as other:
        url = other.url
    away = await webhook.send(channel(url), MESSAGE, wall=time.time())

    assert [isinstance(one, Retry) and one.unknown for one in (silent, cut, away)] == [
        True,
        True,
        False,
    ]


@pytest.mark.parametrize(
    "reply",
    [Reply(200, drip=0.1), Reply(200, size=1 << 30), Reply(200, reset="middle")],
    ids=["dripping", "endless", "reset"],
)
async def test_status_of_success_stands_whatever_the_body_does(
    webhook: Transport, receiver: WebhookReceiver, reply: Reply
) -> None:
    receiver.standing = reply
    started = time.monotonic()

    result = await webhook.send(channel(receiver.url), MESSAGE, wall=time.time())

    assert result == Sent(200)
    assert time.monotonic() - started < 20


async def test_one_receiver_that_hangs_does_not_hold_up_another(
    receiver: WebhookReceiver,
) -> None:
    transports = make_transports(guard=Guard("127.0.0.1"), links=LINKS, timeout_seconds=60)
    async with running(WebhookReceiver(standing=Reply(delay=60))) as hanging, transports as opened:
        webhook = opened["webhook"]
        slow = asyncio.create_task(webhook.send(channel(hanging.url), MESSAGE, wall=time.time()))
        await hanging.until(1)
        result = await webhook.send(channel(receiver.url), MESSAGE, wall=time.time())
        hung = not slow.done()
        slow.cancel()

    assert result == Sent(204)
    assert hung


async def test_no_secret_is_told_when_it_fails(
    webhook: Transport, receiver: WebhookReceiver
) -> None:
    receiver.standing = Reply(
        400, body=f"/services/T0K3N-OF-URL {SECRET[6:]} my-own-header".encode()
    )
    url = receiver.url.replace("/hook", "/services/T0K3N-OF-URL")
    settings = channel(url, headers={"X-Key": "my-own-header"})

    result = await webhook.send(settings, MESSAGE, wall=time.time())

    assert isinstance(result, Refused)
    told = repr(result) + repr(settings)
    assert not any(secret in told for secret in ("T0K3N", SECRET[6:], "my-own-header"))


async def test_message_that_cannot_be_rendered_is_still_delivered(
    webhook: Transport, receiver: WebhookReceiver
) -> None:
    broken = replace(MESSAGE, items=(replace(MESSAGE.items[0], actions=None),))  # type: ignore[arg-type]

    result = await webhook.send(channel(receiver.url), broken, wall=time.time())

    assert result == Sent(204)
    assert receiver.received[0].json["commonAnnotations"]["summary"].startswith("CRITICAL firing")
    assert receiver.received[0].id == MESSAGE.id


async def test_heartbeat_is_signed_where_it_has_a_secret(receiver: WebhookReceiver) -> None:
    heartbeat = replace(channel(receiver.url), kind=Kind.HEARTBEAT)
    async with make_transports(guard=Guard("127.0.0.1"), links=LINKS) as transports:
        result = await transports["heartbeat"].send(heartbeat, HEARTBEAT, wall=time.time())

    assert result == Sent(204)
    assert receiver.received[0].json["type"] == "alerts.heartbeat"


async def _inside(_: str, __: int) -> Sequence[str]:
    return ["127.0.0.1"]


async def test_name_keeps_host_and_sni_while_the_address_is_pinned() -> None:
    authority = Authority()
    async with running(WebhookReceiver(), tls=authority.server("receiver.example")) as receiver:
        guard = Guard(f"receiver.example:{receiver.port}", lookup=_inside)
        url = f"https://receiver.example:{receiver.port}/hook"
        async with make_transports(guard=guard, links=LINKS, tls=authority.client()) as transports:
            result = await transports["webhook"].send(channel(url), MESSAGE, wall=NOW)

    assert result == Sent(204)
    assert receiver.server_names == ["receiver.example"]
    assert receiver.received[0].headers["host"] == f"receiver.example:{receiver.port}"


async def test_certificate_of_another_name_is_refused() -> None:
    authority = Authority()
    async with (
        running(WebhookReceiver(), tls=authority.server("another.example")) as receiver,
        make_transports(
            guard=Guard("127.0.0.1"), links=LINKS, tls=authority.client()
        ) as transports,
    ):
        result = await transports["webhook"].send(channel(receiver.url), MESSAGE, wall=NOW)

    assert result == Refused("the receiver's certificate cannot be trusted")
    assert receiver.received == []


async def test_name_that_turns_inside_after_it_was_saved_is_refused_and_not_called() -> None:
    answers = [["93.184.215.14"], ["127.0.0.1"]]

    async def rebinding(_: str, __: int) -> Sequence[str]:
        return answers.pop(0)

    async with running(WebhookReceiver()) as receiver:
        guard = Guard(lookup=rebinding)
        url = f"http://rebinding.example:{receiver.port}/"
        await guard.check_resolved(guard.check_url(url))
        async with make_transports(guard=guard, links=LINKS) as transports:
            result = await transports["webhook"].send(channel(url), MESSAGE, wall=NOW)

    assert isinstance(result, Refused)
    assert "127.0.0.1" in result.reason
    assert receiver.connections == {}
    assert answers == []
