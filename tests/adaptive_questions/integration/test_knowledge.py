from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from typing import Any

import httpx
import pytest
import pytest_asyncio
from qdrant_client import AsyncQdrantClient
from qdrant_client.http.exceptions import ResponseHandlingException, UnexpectedResponse
from qdrant_client.models import QueryResponse
from starlette.responses import Response
from structlog.testing import capture_logs

from adaptive_questions.knowledge.base import KnowledgeBase
from adaptive_questions.knowledge.seed import SHELVES, items
from adaptive_questions.llm import Provider
from tests.adaptive_questions.core_fixtures import Call, Simulator, refusal, refusing, simulated
from windsock.testing import Captured, capture
from windsock_embedded import ports

MODEL = "text-embedding-004"


@pytest_asyncio.fixture
async def simulator() -> AsyncGenerator[Simulator]:
    async with simulated() as simulator:
        yield simulator


@pytest_asyncio.fixture
async def provider(simulator: Simulator) -> AsyncGenerator[Provider]:
    provider = Provider(
        base_url=f"{simulator.url}/v1",
        api_key="simulated",
        name="google",
        timeout_seconds=10,
        max_calls=8,
    )
    yield provider
    await provider.close()


@pytest_asyncio.fixture
async def store() -> AsyncGenerator[AsyncQdrantClient]:
    store = AsyncQdrantClient(location=":memory:")
    yield store
    await store.close()


@pytest.fixture(autouse=True)
def captured() -> Iterator[Captured]:
    with capture() as captured:
        yield captured


class FailingStore(AsyncQdrantClient):
    """A store in memory whose searches fail while ``error`` is set."""

    error: Exception | None = None

    async def query_batch_points(self, *args: Any, **kwargs: Any) -> list[QueryResponse]:
        if self.error is not None:
            raise self.error
        return await super().query_batch_points(*args, **kwargs)


def warnings(logs: Sequence[Mapping[str, Any]]) -> list[str]:
    return [log["event"] for log in logs if log["log_level"] == "warning"]


async def search(base: KnowledgeBase, provider: Provider, text: str, limit: int = 4) -> list[str]:
    vectors = await provider.embed([text], model=MODEL)
    [hits] = await base.search(
        "resources", [[vectors[0].tolist()]], model=MODEL, threshold=0.5, limit=limit
    )
    return [hit.item.skill for hit in hits]


async def test_what_is_about_the_skill_is_found_first(
    provider: Provider, store: AsyncQdrantClient
) -> None:
    base = KnowledgeBase(store, provider, models=[MODEL])
    await base.fill()

    assert base.filled
    assert (await search(base, provider, "How to learn PostgreSQL"))[:2] == ["PostgreSQL"] * 2
    assert len(await search(base, provider, "Kubernetes", limit=1)) == 1


async def test_a_query_of_two_vectors_finds_what_either_is_close_to_once(
    provider: Provider, store: AsyncQdrantClient
) -> None:
    base = KnowledgeBase(store, provider, models=[MODEL])
    await base.fill()
    vectors = await provider.embed(["Redis", "How to learn Redis", "Rust"], model=MODEL)
    redis, learning, rust = (vector.tolist() for vector in vectors)

    [same, both] = await base.search(
        "resources", [[redis, learning], [redis, rust]], model=MODEL, threshold=0.6, limit=4
    )

    assert len({hit.item for hit in same}) == len(same)
    assert [hit.similarity for hit in same] == sorted((h.similarity for h in same), reverse=True)
    assert {"Redis", "Rust"} <= {hit.item.skill for hit in both}


async def test_before_it_is_filled_nothing_is_found(
    provider: Provider, store: AsyncQdrantClient
) -> None:
    base = KnowledgeBase(store, provider, models=[MODEL])

    assert not base.filled
    assert await search(base, provider, "Kubernetes") == []


async def test_what_is_there_is_not_embedded_again(
    simulator: Simulator, provider: Provider, store: AsyncQdrantClient, captured: Captured
) -> None:
    await KnowledgeBase(store, provider, models=[MODEL]).fill()
    first = await simulator.ledger()
    again = KnowledgeBase(store, provider, models=[MODEL])
    await again.fill()

    assert again.filled
    assert (await simulator.ledger())["calls"] == first["calls"]
    for shelf in SHELVES:
        count = await store.count(f"adaptive_{shelf}_{MODEL}")
        assert count.count == len(items(shelf))
    calls = captured.of_type("llm_call")
    assert {call["operation"] for call in calls} == {"index_knowledge"}
    assert sum(call["input_tokens"] for call in calls) == first["input_tokens"]


async def test_filling_goes_on_where_it_was_broken_off(
    simulator: Simulator, provider: Provider, store: AsyncQdrantClient, captured: Captured
) -> None:
    base = KnowledgeBase(store, provider, models=[MODEL])

    def third(_: Call) -> Response | None:
        return refusal(500, "out of luck") if len(simulator.gate.calls) == 3 else None

    with refusing(simulator, third), capture_logs() as logs:
        await base.fill()
    broken_off = base.filled
    await base.fill()

    assert not broken_off
    assert base.filled
    assert warnings(logs) == ["knowledge_not_indexed"]
    texts = [text for call in simulator.gate.calls for text in call.body["input"]]
    assert len(texts) - len(set(texts)) == len(simulator.gate.calls[2].body["input"])
    failed = [event for event in captured.of_type("performance") if event.get("status") == "error"]
    assert [event["operation"] for event in failed] == ["index_knowledge"]
    assert failed[0]["error_type"] == "ProviderError"


async def test_a_model_that_nobody_thought_of_is_filled_when_it_is_asked_for(
    provider: Provider, store: AsyncQdrantClient
) -> None:
    base = KnowledgeBase(store, provider, models=[])
    before = await search(base, provider, "Kubernetes")

    await base.fill()

    assert before == []
    assert base.filled
    assert await search(base, provider, "Kubernetes") != []


async def test_a_store_that_fails_is_recorded_and_finds_nothing(
    provider: Provider, captured: Captured
) -> None:
    store = FailingStore(location=":memory:")
    base = KnowledgeBase(store, provider, models=[MODEL])
    await base.fill()

    store.error = ResponseHandlingException(ConnectionError("gone"))
    with capture_logs() as logs:
        found = [await search(base, provider, "Kubernetes") for _ in range(2)]
    store.error = None
    back = await search(base, provider, "Kubernetes")
    await store.close()

    assert found == [[], []]
    assert back != []
    assert warnings(logs) == ["knowledge_not_searched"]
    searches = [e for e in captured.of_type("performance") if e["operation"] == "vector_search"]
    assert [event.get("status") for event in searches] == ["error", "error", None]


async def test_a_store_that_lost_its_collections_is_filled_again(provider: Provider) -> None:
    store = FailingStore(location=":memory:")
    base = KnowledgeBase(store, provider, models=[MODEL])
    await base.fill()

    store.error = UnexpectedResponse(404, "Not Found", b"", httpx.Headers())
    await search(base, provider, "Kubernetes")
    store.error = None
    for shelf in SHELVES:
        await store.delete_collection(f"adaptive_{shelf}_{MODEL}")
    lost = base.filled
    await base.fill()
    found = await search(base, provider, "Kubernetes")
    await store.close()

    assert not lost
    assert found != []


async def test_a_store_that_is_away_at_the_start_is_waited_for(provider: Provider) -> None:
    nowhere = f"http://127.0.0.1:{ports.free_port()}"
    store = AsyncQdrantClient(url=nowhere, check_compatibility=False)
    base = KnowledgeBase(store, provider, models=[MODEL])

    with capture_logs() as logs:
        await base.fill()
    await store.close()

    assert not base.filled
    assert warnings(logs) == ["knowledge_not_indexed"]
