from __future__ import annotations

from typing import Any

import asyncpg
from prometheus_client import CollectorRegistry

from flags_svc.ofrep.answers import Answers
from flags_svc.ofrep.tally import Tally, tallying
from flags_svc.store.usage import Usage
from flags_svc.wire.ofrep import Asked
from tests.flags_svc.ofrep_app import a_scene
from windsock_kit.testing import FakeClock

NOBODY = Asked(None, {})
ANN = Asked("ann", {})


async def some_answers() -> Answers:
    scene = a_scene()
    await scene.live.catch_up()
    return scene.ofrep.answers


async def noted(pool: Any) -> dict[tuple[str, str, str | None], int]:
    return {
        (used.environment, flag, used.variant): used.count
        for flag, rows in (await Usage(pool).since(0.0)).items()
        for used in rows
    }


async def test_evaluations_are_noted_and_added_up(pool: Any) -> None:
    answers = await some_answers()
    tally = Tally(pool, answers, FakeClock())
    answers.one("production", "static", NOBODY)
    await tally.tick()
    await tally.tick()
    answers.all("production", ANN)
    await tally.tick()
    found = await noted(pool)
    assert found["production", "static", "on"] == 2
    assert found["production", "text", "hello"] == 1
    assert ("staging", "static", "off") not in found


async def test_what_cannot_be_noted_is_kept(pool: Any, flags_url: str) -> None:
    answers = await some_answers()
    closed = await asyncpg.create_pool(flags_url, min_size=0)
    await closed.close()
    tally = Tally(closed, answers, FakeClock())
    answers.one("production", "static", NOBODY)
    await tally.tick()
    answers.one("production", "static", NOBODY)
    tally._pool = pool
    await tally.tick()
    assert (await noted(pool))["production", "static", "on"] == 2


async def test_the_last_ones_are_noted_at_the_end(pool: Any) -> None:
    answers = await some_answers()
    async with tallying(Tally(pool, answers, FakeClock()), CollectorRegistry()):
        answers.one("production", "static", NOBODY)
    assert (await noted(pool))["production", "static", "on"] == 1
