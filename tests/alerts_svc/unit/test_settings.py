from __future__ import annotations

from dataclasses import fields

import pytest

from alerts_svc.app import create_app
from alerts_svc.settings import Settings, variable_of
from windsock_kit.environment import SettingsError

URL = {"ALERTS_DATABASE_URL": "postgresql://alerts:secret@127.0.0.1/windsock"}


def test_address_of_the_store_is_all_that_is_needed() -> None:
    settings = Settings.from_env(URL)

    assert settings == Settings(database_url=URL["ALERTS_DATABASE_URL"])
    assert (settings.host, settings.port, settings.auth) == ("127.0.0.1", 8002, "off")


def test_missing_address_is_told_with_an_example() -> None:
    with pytest.raises(SettingsError, match=r"ALERTS_DATABASE_URL is not set.*postgresql://"):
        Settings.from_env({})


@pytest.mark.parametrize("variable", ["ALERTS_DATABASE_URL", "ALERTS_REDIS_URL"])
def test_an_address_of_another_kind_is_refused_without_showing_its_password(variable: str) -> None:
    with pytest.raises(SettingsError, match=f"{variable} is wrong: it must start") as told:
        Settings.from_env(URL | {variable: "mysql://alerts:secret@127.0.0.1/windsock"})

    assert "secret" not in str(told.value)


def test_every_field_can_be_set_by_its_variable() -> None:
    numbers = {f.name: "7" for f in fields(Settings) if f.type in {"int", "float"}}
    texts = {
        "host": "localhost",
        "auth": "off",
        "log_format": "console",
        "log_level": "debug",
        "metrics_url": "http://127.0.0.1:1",
        "external_url": "https://windsock.example",
        "redis_url": "redis://127.0.0.1/0",
        "allowed_targets": "127.0.0.1",
        "state_dir": "here",
    }
    given = numbers | texts

    settings = Settings.from_env(URL | {variable_of(name): text for name, text in given.items()})

    assert given.keys() | {"database_url"} == {f.name for f in fields(Settings)}
    assert {getattr(settings, name) for name in numbers} == {7}
    assert {name: getattr(settings, name) for name in texts} == texts


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ("ALERTS_HOST", ""),
        ("ALERTS_PORT", "0"),
        ("ALERTS_LOG_FORMAT", "xml"),
        ("ALERTS_DATABASE_POOL_SIZE", "3"),
        ("ALERTS_METRICS_URL", "ftp://127.0.0.1"),
        ("ALERTS_EXTERNAL_URL", "windsock.example"),
        ("ALERTS_METRICS_TIMEOUT_SECONDS", "0"),
        ("ALERTS_EVALUATION_INTERVAL_SECONDS", "nan"),
        ("ALERTS_LEASE_SECONDS", "1"),
        ("ALERTS_EVALUATION_RETENTION_HOURS", "1.5"),
        ("ALERTS_MAX_BODY_BYTES", "-1"),
        ("WINDSOCK_AUTH", "on"),
    ],
)
def test_wrong_value_is_told_with_its_variable(variable: str, text: str) -> None:
    with pytest.raises(SettingsError, match=f"{variable}=.* is wrong: it "):
        Settings.from_env(URL | {variable: text})


def test_addresses_lose_the_slash_at_their_end() -> None:
    settings = Settings.from_env(URL | {"ALERTS_METRICS_URL": "http://127.0.0.1:8001/"})

    assert settings.metrics_url == "http://127.0.0.1:8001"


def test_a_wrong_list_of_targets_ends_the_start() -> None:
    with pytest.raises(SettingsError, match="ALERTS_ALLOWED_TARGETS is wrong"):
        create_app(Settings(URL["ALERTS_DATABASE_URL"], allowed_targets="not a host!"))


def test_secrets_are_not_shown() -> None:
    settings = Settings.from_env(URL | {"ALERTS_REDIS_URL": "redis://:password@127.0.0.1"})

    assert "secret" not in repr(settings)
    assert "password" not in repr(settings)
