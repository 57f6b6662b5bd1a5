from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.fixtures.servers import REPOSITORY

_TOOLS = ("sh", "dirname", "cat", "cksum", "mkdir", "rm")


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """Give a copy of what the wrapper reads, and a PATH (``bin``) with hardly anything in it."""
    for name in ("task", "requirements"):
        source = REPOSITORY / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, tmp_path / name)
    for project in REPOSITORY.glob("[!.]*/**/pyproject.toml"):
        target = tmp_path / project.relative_to(REPOSITORY)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(project, target)
    (tmp_path / "bin").mkdir()
    for tool in _TOOLS:
        (tmp_path / "bin" / tool).symlink_to(str(shutil.which(tool)))
    return tmp_path


def run(bare: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [bare / "task", *(arguments or ("--version",))],
        env={"PATH": str(bare / "bin"), "HOME": str(bare), **environment},
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
    )


def _python(bare: Path, script: str) -> None:
    path = bare / "bin" / "python3"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def test_without_python_one_line_says_what_to_do(bare: Path) -> None:
    done = run(bare)

    assert done.returncode == 1
    assert done.stderr == (
        "windsock: no Python >= 3.11 found: install one, or name it in WINDSOCK_PYTHON\n"
    )


def test_an_old_python_is_none(bare: Path) -> None:
    _python(bare, "exit 1")

    assert "no Python >= 3.11 found" in run(bare).stderr


def test_without_the_venv_module_one_line_says_what_to_install(bare: Path) -> None:
    _python(bare, 'case "$2" in *ensurepip*) exit 1;; esac')

    done = run(bare)

    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "apt install python3-venv" in done.stderr


@pytest.fixture
def ready(bare: Path) -> Path:
    """Give the same, set up, with a task that says what it was given and ends with status 3."""
    task = bare / ".venv" / "bin" / "task"
    task.parent.mkdir(parents=True)
    task.write_text('#!/bin/sh\necho "$@"\nexit 3\n')
    task.chmod(0o755)
    (bare / ".venv" / ".set-up").write_text(_wanted(bare))
    return bare


@pytest.mark.parametrize(
    "arguments", ["--version", "up", "up -- --detach", "replay -- -", "-v check"]
)
def test_what_is_set_up_is_used_without_a_word(ready: Path, arguments: str) -> None:
    done = run(ready, *arguments.split())

    assert (done.returncode, done.stderr) == (3, "")
    assert done.stdout == f"--exit-code --taskfile {ready}/Taskfile.yml {arguments}\n"


def test_an_option_without_the_dashes_before_it_is_answered_with_the_right_command(
    ready: Path,
) -> None:
    done = run(ready, "up", "--detach")

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "windsock: put -- before the options of a command: ./task up -- --detach\n"
    )


def test_a_changed_lock_calls_for_set_up(bare: Path) -> None:
    task = bare / ".venv" / "bin" / "task"
    task.parent.mkdir(parents=True)
    task.symlink_to("/bin/true")
    (bare / ".venv" / ".set-up").write_text(_wanted(bare))
    with (bare / "requirements" / "dev.txt").open("a") as lock:
        lock.write("# changed\n")

    assert "no Python >= 3.11 found" in run(bare).stderr


def _wanted(bare: Path) -> str:
    """Run the wrapper's own function for what the stamp must hold."""
    text = (bare / "task").read_text()
    function = text[text.index("wanted() {") : text.index("is_set_up()")]
    members = next(line for line in text.splitlines() if line.startswith("members="))
    script = f"root={os.path.realpath(bare)}\n{members}\n{function}\nwanted"
    done = subprocess.run(["/bin/sh", "-c", script], capture_output=True, text=True, check=True)
    return done.stdout
