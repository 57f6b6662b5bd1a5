from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest

from metrics_svc.app import kept_seconds
from metrics_svc.settings import Settings, variable_of
from windsock_kit.environment import SettingsError

URL = {"METRICS_DATABASE_URL": "postgresql://metrics:secret@127.0.0.1/windsock"}
# The shortest that allows the coarser to be kept as long as the finer.
ASCENDING = {
    "METRICS_ROLLUP_10S_RETENTION_DAYS": "1",
    "METRICS_ROLLUP_1M_RETENTION_DAYS": "2",
    "METRICS_ROLLUP_10M_RETENTION_DAYS": "2",
    "METRICS_ROLLUP_1H_RETENTION_DAYS": "5",
}


def test_address_of_the_store_is_all_that_is_needed() -> None:
    settings = Settings.from_env(URL)

    assert settings == Settings(database_url=URL["METRICS_DATABASE_URL"])
    assert (settings.host, settings.port, settings.auth) == ("127.0.0.1", 8001, "off")


def test_missing_address_is_told_with_an_example() -> None:
    with pytest.raises(SettingsError, match=r"METRICS_DATABASE_URL is not set.*postgresql://"):
        Settings.from_env({})


@pytest.mark.parametrize("url", ["", "mysql://metrics:secret@127.0.0.1/windsock"])
def test_an_address_of_another_kind_is_refused_without_showing_its_password(url: str) -> None:
    with pytest.raises(SettingsError, match="METRICS_DATABASE_URL is wrong: it must ") as told:
        Settings.from_env({"METRICS_DATABASE_URL": url})

    assert "secret" not in str(told.value)


def test_an_address_of_redis_is_checked_without_showing_its_password() -> None:
    with pytest.raises(SettingsError, match="METRICS_REDIS_URL is wrong: it must start") as told:
        Settings.from_env(URL | {"METRICS_REDIS_URL": "http://:secret@127.0.0.1"})

    assert "secret" not in str(told.value)


def test_every_field_can_be_set_by_its_variable() -> None:
    numbers = {f.name: "7" for f in fields(Settings) if f.type in {"int", "float"}}
    texts = {"host": "localhost", "log_format": "console", "log_level": "debug", "probes": "a=b"}
    texts["redis_url"] = "redis://127.0.0.1/0"
    given = numbers | texts | {"auth": "off"}

    settings = Settings.from_env(URL | {variable_of(name): text for name, text in given.items()})

    assert given.keys() | {"database_url"} == {f.name for f in fields(Settings)}
    assert {getattr(settings, name) for name in numbers} == {7}
    assert {name: getattr(settings, name) for name in texts} == texts


WRONG: list[Any] = [
    ("METRICS_HOST", ""),
    ("METRICS_PORT", "0"),
    ("METRICS_PORT", "65536"),
    ("METRICS_PORT", "http"),
    ("METRICS_LOG_FORMAT", "xml"),
    ("METRICS_LOG_LEVEL", "loud"),
    ("METRICS_DATABASE_POOL_SIZE", "3"),
    ("METRICS_MAX_BODY_BYTES", "-1"),
    ("METRICS_MAX_EVENTS_PER_BATCH", "many"),
    ("METRICS_MAX_EVENT_AGE_SECONDS", "0"),
    ("METRICS_MAX_EVENT_AGE_SECONDS", "nan"),
    ("METRICS_MAX_EVENT_AHEAD_SECONDS", "inf"),
    ("METRICS_PROBE_INTERVAL_SECONDS", "-3"),
    ("METRICS_RAW_RETENTION_DAYS", "1.5"),
    ("WINDSOCK_AUTH", "on"),
]


@pytest.mark.parametrize(("variable", "text"), WRONG)
def test_wrong_value_is_told_with_its_variable(variable: str, text: str) -> None:
    with pytest.raises(SettingsError, match=f"{variable}=.* is wrong: it|{variable}=.* is wrong: "):
        Settings.from_env(URL | {variable: text})


def test_secrets_are_not_shown() -> None:
    settings = Settings.from_env(URL | {"METRICS_PROBES": "redis=redis://:password@host"})

    assert "secret" not in repr(settings)
    assert "password" not in repr(settings)


def test_periods_of_rollups_are_in_seconds() -> None:
    settings = Settings.from_env(URL | ASCENDING)

    assert kept_seconds(settings) == {10: 86_400, 60: 172_800, 600: 172_800, 3_600: 432_000}


@pytest.mark.parametrize(
    ("shorter", "longer"),
    [("1M", "10S"), ("10M", "1M"), ("1H", "10M")],
)
def test_coarser_rollups_are_kept_at_least_as_long_as_finer_ones(shorter: str, longer: str) -> None:
    given = {
        f"METRICS_ROLLUP_{longer}_RETENTION_DAYS": "300",
        f"METRICS_ROLLUP_{shorter}_RETENTION_DAYS": "299",
    }
    usual = {f"METRICS_ROLLUP_{name}_RETENTION_DAYS": "300" for name in ("1M", "10M", "1H")}

    with pytest.raises(SettingsError, match=f"METRICS_ROLLUP_{shorter}_RETENTION_DAYS"):
        Settings.from_env(URL | usual | given)
