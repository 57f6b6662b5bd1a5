"""All transports as the sender sees them."""

from __future__ import annotations

import io
from typing import Any, NoReturn

from alerts_svc.domain.channel import Channel, Kind
from alerts_svc.domain.message import Message
from alerts_svc.notify.guard import Guard
from alerts_svc.notify.links import Links
from alerts_svc.notify.transports import Contained, make_transports
from alerts_svc.ports import Refused, Result, Retry, Sent
from tests.alerts_svc.messages import MESSAGE, NOW

LINKS = Links("https://windsock.example", b"key")
SLACK = Channel("team", Kind.SLACK, {"url": "https://hooks.slack.example/services/T0K3N"})


class Raising:
    async def send(self, channel: Channel, message: Message, *, wall: float) -> NoReturn:
        raise RuntimeError(f"cannot reach {channel.settings['url']}")


class Answering:
    def __init__(self, result: Result) -> None:
        self._result = result

    async def send(self, channel: Channel, message: Message, *, wall: float) -> Result:
        return self._result


async def test_every_kind_has_a_transport() -> None:
    async with make_transports(guard=Guard(), links=LINKS) as transports:
        assert set(transports) == set(Kind)


async def test_bug_in_a_transport_is_a_failure_that_tells_no_secret() -> None:
    result = await Contained(Raising()).send(SLACK, MESSAGE, wall=NOW)

    assert result == Retry("internal error (RuntimeError)", unknown=True)


async def test_what_a_receiver_says_is_told_in_one_line_without_secrets() -> None:
    said = "no\r\n/services/T0K3N" + "x" * 10_000

    for result in (Sent(note=said), Retry(said), Refused(said)):
        told = await Contained(Answering(result)).send(SLACK, MESSAGE, wall=NOW)
        text = told.note if isinstance(told, Sent) else told.reason
        assert text.startswith("no /***x")
        assert len(text) <= 500


async def test_inner_target_is_refused_when_sending_whatever_is_stored() -> None:
    stored: dict[Kind, dict[str, Any]] = {
        Kind.WEBHOOK: {"url": "http://169.254.169.254/latest/"},
        Kind.HEARTBEAT: {"url": "http://[::1]:8080/"},
        Kind.SLACK: {"url": "https://10.0.0.1/"},
        Kind.PAGERDUTY: {"url": "https://[64:ff9b::7f00:1]/", "routing_key": "k" * 32},
        Kind.EMAIL: {
            "host": "127.0.0.1",
            "port": 25,
            "sender": "a@example.com",
            "recipients": ["b@example.com"],
        },
    }
    async with make_transports(guard=Guard(), links=LINKS, out=io.StringIO()) as transports:
        results = {
            kind: await transports[kind].send(Channel("x", kind, settings), MESSAGE, wall=NOW)
            for kind, settings in stored.items()
        }

    assert all(isinstance(result, Refused) for result in results.values())
    assert all(
        "not allowed" in result.reason for result in results.values() if isinstance(result, Refused)
    )
