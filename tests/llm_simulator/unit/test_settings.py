from __future__ import annotations

from dataclasses import fields

import pytest

from llm_simulator.settings import Settings, variable_of
from tests.fixtures.servers import REPOSITORY
from tests.suite.documents import section, table_rows
from windsock_kit.environment import SettingsError


def test_nothing_needs_to_be_set() -> None:
    settings = Settings.from_env({})

    assert settings == Settings()
    assert (settings.host, settings.port, settings.auth) == ("127.0.0.1", 8011, "off")


def test_every_field_can_be_set_by_its_variable() -> None:
    numbers = {f.name: "7" for f in fields(Settings) if f.type in {"int", "float"}}
    texts = {"host": "localhost", "log_format": "console", "log_level": "debug", "auth": "off"}

    settings = Settings.from_env(
        {variable_of(name): text for name, text in (numbers | texts).items()}
    )

    assert (numbers | texts).keys() == {f.name for f in fields(Settings)}
    assert {getattr(settings, name) for name in numbers} == {7}
    assert {name: getattr(settings, name) for name in texts} == texts


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ("SIMULATOR_HOST", ""),
        ("SIMULATOR_PORT", "0"),
        ("SIMULATOR_PORT", "65536"),
        ("SIMULATOR_PORT", "http"),
        ("SIMULATOR_LOG_FORMAT", "xml"),
        ("SIMULATOR_LOG_LEVEL", "loud"),
        ("SIMULATOR_SEED", "-1"),
        ("SIMULATOR_SEED", "lucky"),
        ("SIMULATOR_TIME_SCALE", "-0.1"),
        ("SIMULATOR_TIME_SCALE", "nan"),
        ("SIMULATOR_TIME_SCALE", "inf"),
        ("SIMULATOR_TIME_SCALE", "fast"),
        ("SIMULATOR_SLOTS", "0"),
        ("SIMULATOR_QUEUE", "-1"),
        ("SIMULATOR_REQUESTS_PER_MINUTE", "-1"),
        ("SIMULATOR_TOKENS_PER_MINUTE", "1.5"),
        ("SIMULATOR_MAX_BODY_BYTES", "0"),
        ("WINDSOCK_AUTH", "on"),
    ],
)
def test_wrong_value_is_told_with_its_variable(variable: str, text: str) -> None:
    with pytest.raises(SettingsError, match=f"{variable}=.* is wrong: it "):
        Settings.from_env({variable: text})


def test_settings_are_in_the_readme_with_their_defaults() -> None:
    readme = REPOSITORY / "loadgen" / "target" / "llm-simulator" / "README.md"
    rows = table_rows(section(readme.read_text(), "Settings"))

    written = {row[0].strip("`"): row[1].strip("`") for row in rows}

    assert written == {
        variable_of(f.name): f"{f.default:g}" if f.name == "time_scale" else str(f.default)
        for f in fields(Settings)
    }
