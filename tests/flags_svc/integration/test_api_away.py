"""What the service answers while PostgreSQL is away, and before it has come."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from flags_svc.app import create_app
from flags_svc.settings import Settings
from tests.fixtures.servers import RunningPostgres
from tests.flags_svc.api import FLAGS, Api, running_api
from windsock_kit.testing import running

KEY = "use_batch_generation"
QUESTION = {"user_id": "ada"}


async def answers(api: Api) -> dict[str, Any]:
    """Return the answers that need no database."""
    return {
        "ready": await api.client.get("/readyz"),
        "list": await api.client.get(FLAGS),
        "one": await api.client.get(f"{FLAGS}/{KEY}"),
        "evaluate": await api.client.post(f"{FLAGS}/{KEY}/evaluate", json=QUESTION),
        "export": await api.client.get(f"{FLAGS}/export"),
        "ofrep": await api.client.post(
            f"/ofrep/v1/evaluate/flags/{KEY}", json={"context": {"targetingKey": "ada"}}
        ),
    }


async def refused(api: Api) -> list[Any]:
    """Return the answers to what is nothing without the database."""
    return [
        await api.client.post(FLAGS, json={"key": "away", "type": "boolean"}),
        await api.client.post(f"{FLAGS}/{KEY}/disable"),
        await api.client.post(f"{FLAGS}/{KEY}/rollout", json={"percentage": 5}),
        await api.client.patch(f"{FLAGS}/{KEY}", json={"owner": "x"}),
        await api.client.delete(f"{FLAGS}/{KEY}"),
        await api.client.post(f"{FLAGS}/nobody/enable"),
        await api.client.get(f"{FLAGS}/{KEY}/history"),
        await api.client.post(f"{FLAGS}/{KEY}/evaluate", json={"version": 1}),
        await api.client.get(f"{FLAGS}/change-requests"),
        await api.client.get(f"{FLAGS}/stale"),
    ]


async def test_without_the_database_flags_are_evaluated_and_not_changed(
    own_postgres: RunningPostgres, tmp_path: Path
) -> None:
    database = await own_postgres.new_flags_database("away")
    async with running_api(database, state_dir=str(tmp_path)) as api:
        before = await answers(api)
        await api.until(lambda: _written(tmp_path), bool)
        own_postgres.stop()
        during, no = await answers(api), await refused(api)
    async with running_api(database, state_dir=str(tmp_path)) as api:
        anew, still_no = await answers(api), await refused(api)
        await own_postgres.start()
        changed = await api.until(
            lambda: api.client.post(f"{FLAGS}/{KEY}/disable"),
            lambda answer: answer.status_code == 200,
        )

    for told in (during, anew):
        assert {name: each.status_code for name, each in told.items()} == dict.fromkeys(told, 200)
        assert {n: e.json() for n, e in told.items()} == {n: e.json() for n, e in before.items()}
    for answer in no + still_no:
        assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
        assert answer.headers["retry-after"] == "1"
    assert changed.json()["version"] == 2


async def _written(folder: Path) -> bool:
    file = folder / "world.json"
    return file.exists() and KEY in file.read_text()


async def test_a_process_that_knows_nothing_is_not_ready_until_the_database_is_there(
    own_postgres: RunningPostgres,
) -> None:
    database = await own_postgres.new_flags_database("late")
    own_postgres.stop()

    async with running(create_app(Settings(database))) as client:
        early = [
            await client.get("/readyz"),
            await client.get(FLAGS),
            await client.post(f"{FLAGS}/{KEY}/evaluate", json=QUESTION),
            await client.post(f"{FLAGS}/{KEY}/enable"),
        ]
        live = await client.get("/livez")
        await own_postgres.start()
        api = Api(client)
        await api.until(lambda: client.get("/readyz"), lambda answer: answer.status_code == 200)
        found = await api.get("")

    assert [answer.status_code for answer in early] == [503] * 4
    assert live.status_code == 200
    assert found["total"] == 9
