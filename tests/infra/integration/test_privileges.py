from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.fixtures.stacks import EmbeddedStack
from windsock_embedded import accounts, binaries
from windsock_embedded.processes import Account

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="concerns root only")


@pytest.fixture
def closed_folder(tmp_path: Path) -> Iterator[Path]:
    """Give a folder that root alone may enter, as /root is."""
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    yield closed
    place = closed / "data" / "postgres.place"
    if place.exists():
        shutil.rmtree(place.read_text().strip())


def test_under_a_closed_folder_postgresql_alone_runs_as_another_user(closed_folder: Path) -> None:
    stack = EmbeddedStack(closed_folder / "data")
    try:
        up = stack.up()

        assert psutil.Process(stack.pid("postgres")).username() != "root"
        assert psutil.Process(stack.pid("redis")).username() == "root"
        assert psutil.Process(stack.pid("metrics-svc")).username() == "root"
        place = Path((closed_folder / "data" / "postgres.place").read_text().strip())
        assert f"its data is in {place}" in up.stdout
        assert place.stat().st_mode & 0o777 == 0o700
        closed_folder.chmod(0o711)
        stack.run("down")
        assert f"its data is in {place}" in stack.up().stdout
        assert (closed_folder / "data" / "postgres.password").stat().st_mode & 0o777 == 0o600
    finally:
        stack.run("down")


def test_a_wheel_s_postgresql_is_copied_to_where_its_user_can_run_it(closed_folder: Path) -> None:
    account = accounts.unprivileged_account(closed_folder)
    assert account
    wheel = binaries.find_postgres("", major=18)
    assert wheel.bundle
    place = accounts.readable_place(closed_folder, account)
    try:
        copied = accounts.copy_bundle(wheel.bundle, place, account)
        made = (place / "bundle").stat().st_ino
        again = accounts.copy_bundle(wheel.bundle, place, account)
        ran = subprocess.run(
            [copied / "initdb", "--version"],
            user=account.uid,
            group=account.gid,
            cwd="/",
            capture_output=True,
            text=True,
            check=False,
        )

        assert ran.stdout.startswith("initdb (PostgreSQL) 18"), ran.stderr
        assert (again, (place / "bundle").stat().st_ino) == (copied, made)
    finally:
        shutil.rmtree(place)


def test_root_opens_an_ordinary_user_s_data_as_that_user(closed_folder: Path) -> None:
    nobody = pwd.getpwnam("nobody")
    (closed_folder / "postgres").mkdir(mode=0o700)
    os.chown(closed_folder / "postgres", nobody.pw_uid, nobody.pw_gid)

    account = accounts.unprivileged_account(closed_folder)

    assert account == Account(nobody.pw_uid, nobody.pw_gid)
