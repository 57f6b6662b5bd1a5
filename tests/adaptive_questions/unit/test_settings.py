from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from adaptive_questions.__main__ import main
from adaptive_questions.app import workflow_config
from adaptive_questions.settings import Settings, variable_of
from adaptive_questions.workflow.config import Config
from tests.fixtures.servers import REPOSITORY
from tests.suite.documents import section, table_rows
from windsock_kit.environment import SettingsError


def test_nothing_needs_to_be_set() -> None:
    settings = Settings.from_env({})

    assert settings == Settings()
    assert (settings.host, settings.port, settings.auth) == ("127.0.0.1", 8010, "off")
    assert (settings.openai_base_url, settings.provider) == ("http://127.0.0.1:8011/v1", "google")


TEXTS = {
    "host": "localhost",
    "auth": "off",
    "log_format": "console",
    "log_level": "debug",
    "openai_base_url": "https://models.example/v1",
    "openai_api_key": "key",
    "provider": "openai",
    "model": "gpt-4o-mini",
    "embedding_model": "text-embedding-3-small",
    "redis_url": "redis://127.0.0.1:6379/1",
    "qdrant_url": "http://127.0.0.1:6333",
    "qdrant_api_key": "another",
    "flags_source": "redis",
    "flags_file": "flags.json",
}


def test_every_field_can_be_set_by_its_variable() -> None:
    numbers = {f.name: "7" for f in fields(Settings) if f.type in {"int", "float"}}

    settings = Settings.from_env(
        {variable_of(name): text for name, text in (TEXTS | numbers).items()}
    )

    assert (numbers | TEXTS).keys() == {f.name for f in fields(Settings)}
    assert {getattr(settings, name) for name in numbers} == {7}
    assert {name: str(getattr(settings, name)) for name in TEXTS} == TEXTS
    assert settings.flags_file == Path("flags.json")


@pytest.mark.parametrize(
    "variable",
    [
        "QUESTIONS_MODEL",
        "QUESTIONS_EMBEDDING_MODEL",
        "QUESTIONS_REDIS_URL",
        "QDRANT_URL",
        "QDRANT_API_KEY",
        "WINDSOCK_FLAGS_SOURCE",
        "WINDSOCK_FLAGS_FILE",
    ],
)
def test_what_may_be_left_out_may_be_empty(variable: str) -> None:
    assert Settings.from_env({variable: ""}) == Settings()


WRONG: list[Any] = [
    ("QUESTIONS_HOST", ""),
    ("QUESTIONS_PORT", "0"),
    ("QUESTIONS_PORT", "http"),
    ("QUESTIONS_LOG_FORMAT", "xml"),
    ("QUESTIONS_LOG_LEVEL", "loud"),
    ("QUESTIONS_MAX_REQUESTS", "0"),
    ("QUESTIONS_REQUEST_TIMEOUT_SECONDS", "nan"),
    ("QUESTIONS_HEARTBEAT_SECONDS", "-1"),
    ("QUESTIONS_HEARTBEAT_SECONDS", "soon"),
    ("QUESTIONS_MAX_MODEL_CALLS", "1.5"),
    ("QUESTIONS_L1_TTL_SECONDS", "inf"),
    ("QUESTIONS_PROVIDER", ""),
    ("WINDSOCK_AUTH", "on"),
    ("WINDSOCK_FLAGS_SOURCE", "off"),
]


@pytest.mark.parametrize(("variable", "text"), WRONG)
def test_wrong_value_is_told_with_its_variable(variable: str, text: str) -> None:
    with pytest.raises(SettingsError, match=f"^{variable}={text!r} is wrong: it (must|is empty)"):
        Settings.from_env({variable: text})


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ("OPENAI_BASE_URL", "user:secret@models.example"),
        ("OPENAI_API_KEY", "secret\n"),
        ("QUESTIONS_REDIS_URL", ":secret@127.0.0.1"),
        ("QDRANT_URL", "secret@127.0.0.1"),
        ("QDRANT_API_KEY", "secrét"),
    ],
)
def test_what_may_hold_a_secret_is_refused_without_showing_it(variable: str, text: str) -> None:
    with pytest.raises(SettingsError, match=f"^{variable} is wrong: it must ") as told:
        Settings.from_env({variable: text})

    assert "secr" not in str(told.value)


def test_secrets_are_not_shown() -> None:
    settings = Settings(
        openai_api_key="secret", redis_url="redis://:secret@host", qdrant_api_key="secret"
    )

    assert "secret" not in repr(settings)


def test_settings_are_in_the_readme_with_their_defaults() -> None:
    readme = REPOSITORY / "loadgen" / "target" / "adaptive-questions" / "README.md"
    rows = table_rows(section(readme.read_text(), "Settings"))

    written = {row[0].strip("`"): row[1].strip("`") for row in rows}

    assert written == {variable_of(f.name): spelled(f.default) for f in fields(Settings)}


def spelled(default: object) -> str:
    if default is None:
        return ""
    return f"{default:g}" if isinstance(default, float) else str(default)


def test_defaults_are_those_of_the_workflow() -> None:
    assert workflow_config(Settings()) == Config()


@pytest.mark.parametrize(
    ("variable", "text", "told"),
    [
        ("QUESTIONS_PORT", "none", "adaptive-questions: QUESTIONS_PORT='none' is wrong: "),
        ("QUESTIONS_HOST", "0.0.0.0", "refusing to listen on 0.0.0.0: "),
    ],
)
def test_start_ends_with_one_line_that_says_what_is_wrong(
    monkeypatch: pytest.MonkeyPatch, variable: str, text: str, told: str
) -> None:
    monkeypatch.setenv(variable, text)

    with pytest.raises(SystemExit, match=f"^{told}"):
        main()
