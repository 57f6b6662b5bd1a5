"""How the targets of probes are configured."""

from __future__ import annotations

import pytest

from metrics_svc.app import create_app
from metrics_svc.probes.target import SCHEMES, TargetError, parse_targets
from metrics_svc.settings import Settings
from windsock_kit.environment import SettingsError


def test_list_of_targets_is_parsed_in_order() -> None:
    text = (
        "redis=redis://:secret@127.0.0.1:6379/0, qdrant=qdrant://vectors,\n"
        "tls=rediss://cache:7000, page=https://example.org/up?key=1, raw=tcp://[::1]:25,"
    )

    found = parse_targets(text)

    assert [(t.name, t.kind, t.host, t.port) for t in found] == [
        ("redis", "redis", "127.0.0.1", 6379),
        ("qdrant", "qdrant", "vectors", 6333),
        ("tls", "redis", "cache", 7000),
        ("page", "http", "example.org", 443),
        ("raw", "tcp", "::1", 25),
    ]


@pytest.mark.parametrize("text", ["", " ", ",", " , "])
def test_nothing_is_no_target(text: str) -> None:
    assert parse_targets(text) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("redis://127.0.0.1", "entry 1 is not of the form name=url", id="no name"),
        pytest.param("a=tcp://h:1,b", "entry 2 is not of the form name=url", id="no url"),
        pytest.param("=tcp://h:1", "entry 1 is not of the form", id="empty name"),
        pytest.param("b c=tcp://h:1", "entry 1 is not of the form", id="blank in name"),
        pytest.param("mail=smtp://h", r"entry 1 \('mail'\): 'smtp' is not a known", id="scheme"),
        pytest.param("mail=h", r"entry 1 \('mail'\): 'no' is not a known scheme", id="no scheme"),
        pytest.param("a=http://", r"entry 1 \('a'\): the address names no host", id="no host"),
        pytest.param("a=tcp://h", r"entry 1 \('a'\): the address names no port", id="no port"),
        pytest.param("a=tcp://h:99999", r"entry 1 \('a'\): the address is not a URL", id="port"),
        pytest.param("a=http://[::1", r"entry 1 \('a'\): the address is not a URL", id="brackets"),
        pytest.param("a=http://..", r"entry 1 \('a'\): the address is not a URL", id="host name"),
        pytest.param("a=tcp://h:1,a=tcp://h:2", "entry 2: the name 'a' is given twice", id="twice"),
        pytest.param("postgresql=tcp://h:1", "'postgresql' is taken by", id="own database"),
    ],
)
def test_wrong_entry_is_named(text: str, message: str) -> None:
    with pytest.raises(TargetError, match=message):
        parse_targets(text)


def test_unknown_scheme_is_told_with_those_allowed() -> None:
    with pytest.raises(TargetError) as caught:
        parse_targets("mail=smtp://h")

    assert str(caught.value).endswith(f"allowed: {', '.join(SCHEMES)}")


@pytest.mark.parametrize("text", ["a=ftp://u:hunter2@h", "a=redis://u:hunter2@h:port", "hunter2"])
def test_message_holds_no_secret(text: str) -> None:
    with pytest.raises(TargetError) as caught:
        parse_targets(text)

    assert "hunter2" not in str(caught.value)


def test_target_is_shown_without_its_address() -> None:
    (target,) = parse_targets("a=redis://u:hunter2@h")

    assert "hunter2" not in repr(target)
    assert target.secrets() == ["hunter2"]


def test_secret_is_known_as_written_and_as_meant() -> None:
    (target,) = parse_targets("a=https://u:p%40ss@h/up?token=a%20b")

    assert set(target.secrets()) == {"p%40ss", "p@ss", "token=a%20b", "token=a b"}


def test_service_does_not_start_on_a_wrong_entry() -> None:
    settings = Settings(database_url="postgresql://127.0.0.1/none", probes="mail=smtp://h")

    with pytest.raises(SettingsError, match=r"METRICS_PROBES is wrong: entry 1 \('mail'\)"):
        create_app(settings)
