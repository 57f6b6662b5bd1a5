from __future__ import annotations

from tests.adaptive_questions.core_fixtures import (
    ASKER,
    KUBERNETES,
    answered,
    opened,
    workload,
)
from tests.fixtures.servers import running_redis, server_folder


async def test_another_process_answers_from_redis_without_a_model_call(redis_url: str) -> None:
    async with workload(redis_url=redis_url) as it:
        [made] = await it.answers(KUBERNETES)
        model = "text-embedding-004"
        async with opened(it.simulator, redis_url=redis_url, embedding_model=model) as other:
            await it.simulator.new_ledger()
            [result] = await other.generate([KUBERNETES], it.brief, ASKER)
            ledger = await it.simulator.ledger()

    found = answered(result)
    assert found.served == "l2"
    assert (found.question, found.evaluation) == (made.question, made.evaluation)
    assert found.resources == made.resources
    assert ledger["calls"] == 0


async def test_questions_are_made_while_redis_is_down() -> None:
    with server_folder() as folder:
        with running_redis(folder) as url:
            pass
        async with workload(redis_url=url) as it:
            [first] = await it.answers(KUBERNETES)
            [second] = await it.answers(KUBERNETES)
            stats = it.questions.cache_stats()["questions"]

    assert (first.served, second.served) == ("new", "l1")
    assert (stats.l2_hits, stats.l2_misses) == (0, 1)
    misses = [event for event in it.captured.of_type("cache") if event["layer"] == "l2"]
    assert misses
    assert all("miss_reason" not in event for event in misses)
