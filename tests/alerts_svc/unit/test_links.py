"""Links in messages."""

from __future__ import annotations

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
