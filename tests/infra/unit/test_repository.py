"""What can drift between the files that describe the repository."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from tests.fixtures.servers import REPOSITORY

LOCKS = sorted((REPOSITORY / "requirements").glob("*.txt"))
MEMBERS = sorted(
    path.parent
    for path in REPOSITORY.glob("*/**/pyproject.toml")
    if not {".venv", ".task", "node_modules"} & set(path.relative_to(REPOSITORY).parts)
)


def _names(requirements: list[str]) -> set[str]:
    found = (re.match(r"[A-Za-z0-9._-]+", text) for text in requirements)
    return {match[0].lower().replace("_", "-") for match in found if match}


def _locked(name: str) -> set[str]:
    text = (REPOSITORY / "requirements" / f"{name}.txt").read_text()
    return _names(re.findall(r"^\S+(?===)", text, re.MULTILINE))


def _declared(member: Path) -> set[str]:
    project = tomllib.loads((member / "pyproject.toml").read_text())["project"]
    return _names(project["dependencies"]) - {path.name for path in MEMBERS}


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.name)
def test_a_lock_names_no_index_and_no_path(lock: Path) -> None:
    text = lock.read_text()

    assert "://" not in text
    assert not re.search(r"(^|\s)(/|\.\.?/|-e|--index|--find)", text, re.MULTILINE)


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.name)
def test_every_locked_package_has_hashes(lock: Path) -> None:
    for block in re.split(r"^(?=[A-Za-z0-9])", lock.read_text(), flags=re.MULTILINE)[1:]:
        assert "--hash=sha256:" in block


@pytest.mark.parametrize("member", MEMBERS, ids=lambda path: path.name)
def test_what_a_member_declares_is_in_the_locks(member: Path) -> None:
    declared = _declared(member)

    assert declared <= _locked("dev")
    if (REPOSITORY / "requirements" / f"{member.name}.txt").exists():
        assert declared <= _locked(member.name)


def test_the_wrapper_installs_every_member() -> None:
    listed = re.search(r"^members='(.*)'$", (REPOSITORY / "task").read_text(), re.MULTILINE)

    assert listed
    assert sorted(REPOSITORY / folder for folder in listed[1].split()) == MEMBERS


def test_continuous_integration_runs_the_two_commands_and_nothing_else() -> None:
    lines = (REPOSITORY / ".ci" / "run").read_text().splitlines()
    commands = [line for line in lines if line and line[0] != "#" and line != "set -eu"]

    assert commands == ['cd "$(dirname "$0")/.."', "./task check", "./task test"]
