import fcntl
import os
import time
from pathlib import Path

import pytest

from windsock.encoding import Batch, batch_of
from windsock.spool import Spool


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "spool"


def spool_in(directory: Path, max_bytes: int = 1_000_000) -> Spool:
    spool = Spool(directory, max_bytes=max_bytes)
    spool.open()
    return spool


def test_batches_come_back_in_order_and_unchanged(directory: Path) -> None:
    batches = [batch_of(["{}"] * n) for n in range(1, 4)]
    for batch in batches:
        spool_in(directory).write(batch)

    spool = spool_in(directory)
    found = []
    while (claim := spool.claim_oldest()) is not None:
        found.append(claim.batch)
        spool.remove(claim)

    assert found == batches
    assert list(directory.iterdir()) == []


def test_a_batch_in_hand_is_not_given_to_another(directory: Path) -> None:
    first, second = spool_in(directory), spool_in(directory)
    first.write(Batch("a", b"1", 1))
    first.write(Batch("b", b"2", 1))

    mine, yours = first.claim_oldest(), second.claim_oldest()

    assert mine is not None
    assert yours is not None
    assert (mine.batch.batch_id, yours.batch.batch_id) == ("a", "b")
    assert spool_in(directory).claim_oldest() is None
    first.release(mine)
    again = second.claim_oldest()
    assert again is not None
    assert again.batch.batch_id == "a"
    second.release(yours)
    second.release(again)


def test_a_batch_removed_between_look_and_lock_is_not_sent_again(directory: Path) -> None:
    spool = spool_in(directory)
    spool.write(Batch("a", b"1", 1))
    [path] = directory.iterdir()
    descriptor = os.open(path, os.O_RDONLY)
    path.unlink()

    assert spool._lock(path.name) is None
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.close(descriptor)


def test_the_oldest_make_room_and_are_counted(directory: Path) -> None:
    spool = spool_in(directory, max_bytes=10)
    lost = [spool.write(Batch(name, b"x" * 4, 7)) for name in "abcd"]

    assert lost == [0, 0, 7, 7]
    assert spool.count() == 2
    claim = spool.claim_oldest()
    assert claim is not None
    assert claim.batch.batch_id == "c"
    spool.release(claim)


def test_a_batch_larger_than_the_spool_is_lost_alone(directory: Path) -> None:
    spool = spool_in(directory, max_bytes=10)
    spool.write(Batch("a", b"x", 1))

    assert spool.write(Batch("b", b"x" * 11, 5)) == 5
    assert spool.count() == 1


def test_what_a_crash_left_half_written_is_swept_up(directory: Path) -> None:
    directory.mkdir()
    old, new = directory / ".1-a-1.batch.tmp", directory / ".2-b-1.batch.tmp"
    old.touch()
    new.touch()
    os.utime(old, (time.time() - 3_600, time.time() - 3_600))

    spool = spool_in(directory)

    assert list(directory.iterdir()) == [new]
    assert spool.count() == 0


def test_other_users_cannot_read_it(directory: Path) -> None:
    spool_in(directory).write(Batch("a", b"1", 1))

    [path] = directory.iterdir()
    assert path.stat().st_mode & 0o077 == 0
    assert directory.stat().st_mode & 0o077 == 0
