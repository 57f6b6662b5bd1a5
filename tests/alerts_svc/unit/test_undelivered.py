"""What is told elsewhere of a message that its channel could not deliver."""

from __future__ import annotations

from dataclasses import replace

import pytest

from alerts_svc.domain.alert import Change
from alerts_svc.domain.channel import Channel, Kind
from alerts_svc.domain.message import Message
from alerts_svc.domain.undelivered import elsewhere
from tests.alerts_svc.messages import ITEM, MESSAGE, NOW

CHANNELS = {
    channel.name: channel
    for channel in (
        Channel("mail", Kind.EMAIL),
        Channel("pager", Kind.PAGERDUTY),
        Channel("off", Kind.WEBHOOK, enabled=False),
        Channel("gone", Kind.WEBHOOK, disabled_reason="410"),
        Channel("beat", Kind.HEARTBEAT),
    )
}


def _elsewhere(message: Message, fallback: str | None = None) -> tuple[Message, ...]:
    return elsewhere(
        message, why="404 no_service", channels=CHANNELS, fallback=fallback, wall=NOW + 60
    )


def test_it_goes_to_the_fallback_and_to_the_console() -> None:
    found = _elsewhere(MESSAGE, "mail")

    assert [message.channel for message in found] == ["mail", "console"]
    for message in found:
        assert message.notice == "Not delivered on channel here: 404 no_service"
        assert message.items == MESSAGE.items
        assert (message.thread, message.group_key) == (MESSAGE.thread, MESSAGE.group_key)
        assert message.created_at == NOW + 60
        # Each channel may have tellings of its own of the same transitions.
        assert message.told == ()


def test_the_same_again_has_the_same_ids() -> None:
    first, second = _elsewhere(MESSAGE, "mail"), _elsewhere(MESSAGE, "mail")

    assert [message.id for message in first] == [message.id for message in second]
    assert len({MESSAGE.id, *(message.id for message in first)}) == 3


@pytest.mark.parametrize("fallback", ["off", "gone", "beat", "here", "unknown", None])
def test_a_fallback_that_cannot_be_used_leaves_the_console(fallback: str | None) -> None:
    assert [message.channel for message in _elsewhere(MESSAGE, fallback)] == ["console"]


def test_what_stood_in_already_goes_to_the_console_alone_and_says_both() -> None:
    stood_in = replace(MESSAGE, notice="Not delivered on channel a: 500")

    [message] = _elsewhere(stood_in, "mail")

    assert message.channel == "console"
    assert message.notice == (
        "Not delivered on channel a: 500. Not delivered on channel here: 404 no_service"
    )


def test_a_pager_is_told_of_each_incident_by_itself() -> None:
    other = replace(ITEM, incident="other")
    standing = replace(ITEM, incident="standing", change=None)
    resolved = replace(ITEM, incident="over", change=Change.RESOLVED)

    found = _elsewhere(replace(MESSAGE, items=(ITEM, other, standing, resolved)), "pager")

    pages = [message for message in found if message.channel == "pager"]
    assert [[item.incident for item in page.items] for page in pages] == [
        [ITEM.incident],
        ["other"],
        ["over"],
    ]
    assert len({page.id for page in pages}) == 3


@pytest.mark.parametrize("reason", ["heartbeat", "test"])
def test_what_nobody_waits_for_is_told_to_nobody(reason: str) -> None:
    assert _elsewhere(replace(MESSAGE, reason=reason), "mail") == ()


def test_what_the_console_could_not_take_is_lost_to_it_alone() -> None:
    assert _elsewhere(replace(MESSAGE, channel="console"), "mail") == ()
