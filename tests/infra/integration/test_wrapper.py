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


def run(bare: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [bare / "task", "--version"],
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


def test_what_is_set_up_is_used_without_a_word(bare: Path) -> None:
    task = bare / ".venv" / "bin" / "task"
    task.parent.mkdir(parents=True)
    task.write_text('#!/bin/sh\necho "$@"\n')
    task.chmod(0o755)
    (bare / ".venv" / ".set-up").write_text(_wanted(bare))

    done = run(bare)

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"--taskfile {bare}/Taskfile.yml --version\n"


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
