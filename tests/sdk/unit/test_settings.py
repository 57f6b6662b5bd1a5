import dataclasses
import logging
from pathlib import Path

import pytest

from windsock.settings import _PARSERS, Settings, variable


def test_an_empty_environment_gives_the_defaults() -> None:
    assert Settings.from_env({}) == Settings()


def test_the_environment_is_read_by_field_name() -> None:
    settings = Settings.from_env(
        {
            "WINDSOCK_ENDPOINT": "https://windsock.example:8443/base/",
            "WINDSOCK_API_KEY": "wsk_secret",
            "WINDSOCK_ENABLED": "off",
            "WINDSOCK_MAX_BUFFER_EVENTS": "500",
            "WINDSOCK_FLUSH_INTERVAL_SECONDS": "0.5",
            "WINDSOCK_SPOOL_DIR": "/var/spool/windsock",
        }
    )

    assert settings == Settings(
        endpoint="https://windsock.example:8443/base",
        api_key="wsk_secret",
        enabled=False,
        max_buffer_events=500,
        flush_interval_seconds=0.5,
        spool_dir=Path("/var/spool/windsock"),
    )


def test_every_setting_can_be_set() -> None:
    assert {field.name for field in dataclasses.fields(Settings)} == set(_PARSERS)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("endpoint", "127.0.0.1:8000"),
        ("endpoint", "http://user:password@127.0.0.1"),
        ("endpoint", "http://127.0.0.1:port"),
        ("endpoint", 8000),
        ("api_key", "line\nbreak"),
        ("api_key", object()),
        ("enabled", "perhaps"),
        ("flush_interval_seconds", "nan"),
        ("flush_interval_seconds", True),
        ("max_buffer_events", "many"),
        ("max_buffer_events", 2.5),
        ("max_batch_events", 5_001),
        ("spool_dir", 7),
        ("flags_source", "somewhere"),
        ("flags_redis_url", "http://127.0.0.1:6379"),
        ("flags_redis_url", "redis://:hidden/word@127.0.0.1:6379"),
    ],
)
def test_a_value_that_cannot_be_used_is_reported_and_the_default_stands(
    name: str, value: object, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "windsock"):
        settings = Settings().changed({name: value})

    assert settings == Settings()
    assert variable(name) in caplog.text
    assert "break" not in caplog.text


def test_an_unknown_setting_is_reported(caplog: pytest.LogCaptureFixture) -> None:
    settings = Settings().changed({"endpont": "http://127.0.0.1"})

    assert settings == Settings()
    assert "there is no setting endpont" in caplog.text


def test_the_api_key_is_not_in_the_repr() -> None:
    assert "wsk_secret" not in repr(Settings(api_key="wsk_secret"))
