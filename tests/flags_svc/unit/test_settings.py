from __future__ import annotations

import os
from pathlib import Path

import pytest

from flags_svc.app import create_app
from flags_svc.settings import Settings
from windsock_kit.environment import SettingsError

URL = {"FLAGS_DATABASE_URL": "postgresql://flags:secret@127.0.0.1/windsock"}


def test_address_of_the_store_is_all_that_is_needed() -> None:
    settings = Settings.from_env(URL)

    assert settings == Settings(database_url=URL["FLAGS_DATABASE_URL"])
    assert (settings.port, settings.default_environment) == (8003, "production")


def test_missing_address_is_told_with_an_example() -> None:
    with pytest.raises(SettingsError, match=r"FLAGS_DATABASE_URL is not set.*postgresql://"):
        Settings.from_env({})


@pytest.mark.parametrize("variable", ["FLAGS_DATABASE_URL", "FLAGS_REDIS_URL"])
def test_an_address_of_another_kind_is_refused_without_showing_its_password(variable: str) -> None:
    with pytest.raises(SettingsError, match=f"{variable} is wrong: it must start") as told:
        Settings.from_env(URL | {variable: "mysql://flags:secret@127.0.0.1/windsock"})

    assert "secret" not in str(told.value)


def test_the_folder_for_the_flags_last_known_is_made_at_start(tmp_path: Path) -> None:
    create_app(Settings(URL["FLAGS_DATABASE_URL"], state_dir=str(tmp_path / "a" / "b")))

    assert (tmp_path / "a" / "b").is_dir()


@pytest.mark.parametrize("place", ["file", "file/below"])
def test_a_folder_that_cannot_be_made_is_told_by_its_variable(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(SettingsError, match=r"FLAGS_STATE_DIR='.*file.*it must be a folder"):
        create_app(Settings(URL["FLAGS_DATABASE_URL"], state_dir=str(tmp_path / place)))


def test_a_folder_that_cannot_be_written_is_told_by_its_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Tests may run as somebody who may write anywhere.
    monkeypatch.setattr(os, "access", lambda *_: False)

    with pytest.raises(SettingsError, match=r"FLAGS_STATE_DIR=.*Permission denied"):
        create_app(Settings(URL["FLAGS_DATABASE_URL"], state_dir=str(tmp_path)))


@pytest.mark.parametrize("name", ["A B", "", "1st", "x" * 64])
def test_the_default_environment_has_a_name_that_one_can_have(name: str) -> None:
    with pytest.raises(SettingsError, match=r"FLAGS_DEFAULT_ENVIRONMENT.*must be the name"):
        Settings.from_env(URL | {"FLAGS_DEFAULT_ENVIRONMENT": name})


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ("FLAGS_PORT", "x"),
        ("FLAGS_RECONCILE_SECONDS", "0"),
        ("FLAGS_DATABASE_POOL_SIZE", "1"),
        ("FLAGS_MAX_STREAMS", "-1"),
        ("FLAGS_ALERTS_URL", "ftp://127.0.0.1"),
        ("WINDSOCK_AUTH", "on"),
    ],
)
def test_a_wrong_setting_is_told_by_its_name(variable: str, text: str) -> None:
    with pytest.raises(SettingsError, match=f"{variable}='{text}' is wrong"):
        Settings.from_env(URL | {variable: text})
