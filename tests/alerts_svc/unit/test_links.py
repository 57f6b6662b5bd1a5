"""Links in messages."""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import parse_qs, urlsplit

import pytest
from itsdangerous import URLSafeSerializer

from alerts_svc.notify.links import VALID_SECONDS, LinkAction, LinkError, Links
from tests.alerts_svc.messages import INCIDENT, ITEM, NOW

LINKS = Links("https://windsock.example/", b"a key of ours")


def token(address: str) -> str:
    return address.rpartition("/")[2]


def test_links_say_what_they_are_for() -> None:
    acknowledge = LINKS.acknowledge(ITEM, at=NOW)
    silence = LINKS.silence(ITEM, at=NOW)

    assert acknowledge.startswith("https://windsock.example/api/alerts/links/")
    assert LINKS.read(token(acknowledge), wall=NOW) == LinkAction(
        "acknowledge", INCIDENT, ITEM.fingerprint, NOW + VALID_SECONDS
    )
    assert LINKS.read(token(silence), wall=NOW).action == "silence"
    assert LINKS.acknowledge(ITEM, at=NOW) == acknowledge


def test_links_lead_to_what_happened_and_to_the_numbers() -> None:
    labels = {"alertname": "x", "operation": "a b&c=é\ud800", "environment": "production"}

    address = LINKS.dashboard(replace(ITEM, labels=labels))

    assert LINKS.timeline(ITEM) == f"https://windsock.example/api/alerts/{INCIDENT}/timeline"
    assert address.startswith("https://windsock.example/api/metrics/dashboard?")
    assert parse_qs(urlsplit(address).query) == {
        "time_window_minutes": ["5"],
        "operation": ["a b&c=é?"],
        "environment": ["production"],
    }


def test_link_to_the_numbers_is_short_and_of_a_window_that_there_is() -> None:
    item = replace(ITEM, labels={"operation": "é" * 200}, window_seconds=2_678_400)

    assert LINKS.dashboard(item).endswith("/api/metrics/dashboard?time_window_minutes=43200")
    assert LINKS.dashboard(replace(item, window_seconds=None)).endswith("=60")
    assert LINKS.dashboard(replace(item, window_seconds=20)).endswith("=1")


def test_link_ends_after_its_day() -> None:
    address = token(LINKS.silence(ITEM, at=NOW))

    assert LINKS.read(address, wall=NOW + VALID_SECONDS - 1).action == "silence"
    with pytest.raises(LinkError, match="no longer"):
        LINKS.read(address, wall=NOW + VALID_SECONDS)


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        "x",
        "é",
        "a" * 5000,
        token(Links("https://windsock.example", b"another key").silence(ITEM, at=NOW)),
        token(LINKS.silence(ITEM, at=NOW))[:-1],
        URLSafeSerializer(b"a key of ours", salt="alerts-svc.link").dumps({"a": "delete"}),
        URLSafeSerializer(b"a key of ours", salt="other").dumps(
            {"a": "silence", "i": "x", "f": "y", "e": 9_999_999_999}
        ),
    ],
)
def test_tokens_of_others_are_refused(wrong: str) -> None:
    with pytest.raises(LinkError):
        LINKS.read(wrong, wall=NOW)
