from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from alerts_svc.identity import has_ended, new_owner

TELL = "from alerts_svc.identity import new_owner; print(new_owner(), flush=True); input()"


def test_the_process_itself_has_not_ended() -> None:
    assert not has_ended(new_owner())


def test_a_killed_process_has_ended_also_before_its_parent_has_noticed() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", TELL], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        name = child.stdout.readline().strip()
        alive = has_ended(name)

        child.send_signal(signal.SIGKILL)
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)

        assert not alive
        assert has_ended(name)
    assert has_ended(name)


def test_a_stopped_process_has_not_ended() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", TELL], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        name = child.stdout.readline().strip()

        child.send_signal(signal.SIGSTOP)

        assert not has_ended(name)
        child.kill()


def test_another_process_with_the_same_number_is_not_the_same() -> None:
    *place, began, last = new_owner().split(":")

    assert has_ended(":".join([*place, str(int(began) - 1), last]))


def test_two_services_in_one_process_are_two_owners() -> None:
    assert new_owner() != new_owner()


@pytest.mark.parametrize(
    "name",
    [
        "",
        "host",
        "elsewhere:1-2:1:5",
        "host:::",
        "host::1:5",
        new_owner().rpartition(":")[0].rpartition(":")[0],
    ],
)
def test_nothing_is_said_of_a_process_elsewhere(name: str) -> None:
    assert not has_ended(name)
