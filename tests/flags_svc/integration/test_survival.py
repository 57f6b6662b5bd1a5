"""What goes on while the database is away, and how it goes on afterwards."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from flags_svc.domain.flag import Environment, InEnvironment
from flags_svc.domain.world import Edit
from tests.fixtures.servers import RunningPostgres
from tests.flags_svc.processes import a_process, served
from tests.flags_svc.replicas import ANN, a_flag, an_edit, wish
from tests.flags_svc.streams import following
from tests.flags_svc.waiting import until
from windsock_kit.errors import UnavailableError

PRODUCTION = Edit("environment", "production", Environment("production"), "create")
ON = an_edit(a_flag("f", environments={"production": InEnvironment(True)}))
OFF = an_edit(a_flag("f"))
# Nobody listens there.
NOWHERE = "postgresql://windsock@127.0.0.1:1/windsock"


async def test_a_database_that_dies_stops_writing_only(own_postgres: RunningPostgres) -> None:
    url = await own_postgres.new_flags_database("flags")
    async with a_process(url) as one, a_process(url) as other, served(other.parts) as address:
        await one.editor.edit(wish(PRODUCTION, ON), ANN)
        await until(lambda: other.variant() == "on" if other.replica.revision == 2 else False)
        async with following(address) as stream:
            await stream.next("snapshot")
            own_postgres.kill()

            with pytest.raises(UnavailableError):
                await one.editor.edit(wish(OFF), ANN)
            await other.parts.following.tick()
            assert (one.variant(), other.variant()) == ("on", "on")

            await own_postgres.start()
            await one.editor.edit(wish(OFF), ANN)
            change = await stream.next("change")
        await until(lambda: other.variant() == "off")

    assert (change.data["previous"], change.data["revision"]) == (2, 3)


async def test_the_last_known_flags_serve_a_start_without_the_database(
    flags_url: str, pool: Any, tmp_path: Path
) -> None:
    state = str(tmp_path / "state")
    async with a_process(flags_url, state_dir=state) as process:
        await process.editor.edit(wish(PRODUCTION, ON), ANN)
        await until((tmp_path / "state" / "world.json").exists)
        assert process.parts.last_known is not None
        await process.parts.last_known.tick()
        written = process.replica.world

    async with a_process(NOWHERE, state_dir=state) as process, served(process.parts) as url:
        with pytest.raises(UnavailableError):
            await process.editor.edit(wish(OFF), ANN)
        async with following(url) as stream:
            snapshot = await stream.next()

        assert process.replica.world == written
        assert process.variant() == "on"
        assert not process.replica.confirmed
        assert snapshot.data["revision"] == 2
    assert [path.name for path in (tmp_path / "state").iterdir()] == ["world.json"]


async def test_a_database_behind_the_last_known_flags_has_gone_back(
    flags_url: str, pool: Any, tmp_path: Path
) -> None:
    async with a_process(flags_url, state_dir=str(tmp_path)) as process:
        await process.editor.edit(wish(PRODUCTION), ANN)
        before = process.replica.position
        assert process.parts.last_known is not None
        await process.parts.last_known.tick()
    file = tmp_path / "world.json"
    file.write_text(file.read_text().replace('"revision":1,"items"', '"revision":9,"items"'))

    async with a_process(flags_url, state_dir=str(tmp_path)) as process:
        after = process.replica.position

    assert after.revision == before.revision == 1
    assert after.epoch != before.epoch


async def test_a_process_that_ends_leaves_its_last_change_behind(
    flags_url: str, pool: Any, tmp_path: Path
) -> None:
    async with a_process(flags_url, state_dir=str(tmp_path)) as process:
        await process.editor.edit(wish(PRODUCTION, ON), ANN)
        await until((tmp_path / "world.json").exists)
        await process.editor.edit(wish(OFF), ANN)

    async with a_process(NOWHERE, state_dir=str(tmp_path)) as process:
        assert (process.replica.revision, process.variant()) == (3, "off")


@pytest.mark.parametrize(
    "content", [None, b"", b"{}", b'{"epoch":"e","revision":1,"items":[{}]}', b"\xff"]
)
async def test_a_start_with_nothing_known_waits_for_the_database(
    tmp_path: Path, content: bytes | None
) -> None:
    if content is not None:
        (tmp_path / "world.json").write_bytes(content)

    async with a_process(NOWHERE, state_dir=str(tmp_path)) as process:
        assert not process.replica.known
        with pytest.raises(UnavailableError):
            process.replica.compiled("production")


async def test_a_folder_that_cannot_be_written_fails_nobody(
    flags_url: str, pool: Any, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")

    async with a_process(flags_url, state_dir=str(tmp_path / "file" / "folder")) as process:
        await process.editor.edit(wish(PRODUCTION, ON), ANN)
        assert process.parts.last_known is not None
        await process.parts.last_known.tick()

        assert process.variant() == "on"
