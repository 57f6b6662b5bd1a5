"""The knowledge base: vector search in Qdrant, a server or its local mode."""

from __future__ import annotations

import re
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

import structlog
from qdrant_client import AsyncQdrantClient
from qdrant_client.http.exceptions import ApiException, UnexpectedResponse
from qdrant_client.models import Distance, PointStruct, QueryRequest, ScoredPoint, VectorParams

import windsock
from adaptive_questions.domain.result import WorkloadError
from adaptive_questions.knowledge.seed import SHELVES, Item, Shelf, items
from adaptive_questions.llm import Provider
from adaptive_questions.seldom import Seldom

log = structlog.get_logger(__name__)

BATCH: Final = 64


@dataclass(frozen=True, slots=True)
class Hit:
    """An item that was found; ``similarity`` is its best cosine to any of the query's vectors."""

    item: Item
    similarity: float


class KnowledgeBase:
    """Shelves of items, each in one collection per embedding model.

    A model's collections are filled by ``fill``; before that, searches find nothing. One that
    was not among ``models`` is filled after it was first searched for.
    """

    def __init__(
        self, client: AsyncQdrantClient, provider: Provider, *, models: Sequence[str]
    ) -> None:
        self._client = client
        self._provider = provider
        self._needed = frozenset(models)
        self._models = list(models)
        self._filled: set[str] = set()
        self._warnings = Seldom()

    @property
    def filled(self) -> bool:
        """Whether the models that were named at the start can be searched."""
        return self._needed <= self._filled

    async def fill(self) -> None:
        """Store what is missing; what cannot be done now is left to the next call."""
        for model in self._models:
            if model in self._filled:
                continue
            try:
                for shelf in SHELVES:
                    await self._fill(shelf, model)
            except (WorkloadError, ApiException) as error:
                if self._warnings.due():
                    log.warning("knowledge_not_indexed", model=model, error=str(error))
            else:
                self._filled.add(model)
                log.info("knowledge_indexed", model=model)

    async def search(
        self,
        shelf: Shelf,
        queries: Sequence[Sequence[list[float]]],
        *,
        model: str,
        threshold: float,
        limit: int,
    ) -> list[list[Hit]]:
        """Return for each query, which is some vectors, the items that any of them is close to.

        The most similar come first. A store that is away is recorded, and nothing is found:
        a question without context is better than none.
        """
        if model not in self._models:
            self._models.append(model)
        if model not in self._filled:
            return [[] for _ in queries]
        requests = [
            QueryRequest(query=vector, limit=limit, score_threshold=threshold, with_payload=True)
            for vectors in queries
            for vector in vectors
        ]
        try:
            with windsock.track_performance("vector_search", {"shelf": shelf}):
                answers = await self._client.query_batch_points(_collection(shelf, model), requests)
        # The local mode's word for vectors of another size than those that are there.
        except (ApiException, ValueError) as error:
            if isinstance(error, UnexpectedResponse) and error.status_code == HTTPStatus.NOT_FOUND:
                self._filled.discard(model)
            if self._warnings.due():
                log.warning("knowledge_not_searched", shelf=shelf, error=str(error))
            return [[] for _ in queries]
        points = iter(answer.points for answer in answers)
        return [_best([p for _ in vectors for p in next(points)], limit) for vectors in queries]

    @windsock.track_node("index_knowledge")
    async def _fill(self, shelf: Shelf, model: str) -> None:
        collection = _collection(shelf, model)
        missing = await self._missing(collection, items(shelf))
        for at in range(0, len(missing), BATCH):
            batch = missing[at : at + BATCH]
            vectors = await self._provider.embed([item.text for item in batch], model=model)
            await self._store(collection, batch, vectors)

    async def _missing(self, collection: str, wanted: Sequence[Item]) -> list[Item]:
        if not await self._client.collection_exists(collection):
            return list(wanted)
        ids = [item.id for item in wanted]
        there = {str(each.id) for each in await self._client.retrieve(collection, ids)}
        return [item for item in wanted if item.id not in there]

    async def _store(
        self, collection: str, batch: Sequence[Item], vectors: Sequence[array[float]]
    ) -> None:
        if not await self._client.collection_exists(collection):
            size = VectorParams(size=len(vectors[0]), distance=Distance.COSINE)
            try:
                await self._client.create_collection(collection, vectors_config=size)
            except UnexpectedResponse as error:
                # Another process was quicker.
                if error.status_code != HTTPStatus.CONFLICT:
                    raise
        points = [
            PointStruct(
                id=item.id,
                vector=vector.tolist(),
                payload={"skill": item.skill, "title": item.title, "kind": item.kind},
            )
            for item, vector in zip(batch, vectors, strict=True)
        ]
        await self._client.upsert(collection, points=points)


def _collection(shelf: Shelf, model: str) -> str:
    return f"adaptive_{shelf}_{re.sub(r'[^A-Za-z0-9_-]', '_', model)}"


def _best(points: Sequence[ScoredPoint], limit: int) -> list[Hit]:
    """Return the ``limit`` best of ``points``, each item once; ties by title, to be the same always."""
    best: dict[Item, float] = {}
    for point in points:
        payload = point.payload or {}
        item = Item(payload["skill"], payload["title"], payload["kind"])
        best[item] = max(point.score, best.get(item, -1.0))
    ordered = sorted(best.items(), key=lambda pair: (-pair[1], pair[0].title))
    return [Hit(item, round(score, 4)) for item, score in ordered[:limit]]
