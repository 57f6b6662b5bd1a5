"""The client of metrics-svc's query API."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncGenerator, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import TypeVar

import aiohttp
import msgspec
import structlog

from alerts_svc.clients.measures import (
    Answers,
    History,
    MeasuresError,
    Point,
    RefusedError,
)
from alerts_svc.domain.reading import Answer, Group
from alerts_svc.domain.rule import Query

log = structlog.get_logger(__name__)

MAX_QUERIES = 100
MAX_STEPS = 2_000
MAX_ANSWER_BYTES = 64 * 2**20
# A query that was refused is not asked again for so long: each of them costs the others one more request.
REFUSED_SECONDS = 60.0
_T = TypeVar("_T")
_PATH = re.compile(r"queries\[(\d+)\]")


class _Series(msgspec.Struct, gc=False):
    group: dict[str, str | None]
    value: float | None = None
    samples: float = 0.0


class _Answered(msgspec.Struct):
    series: list[_Series]


class _Body(msgspec.Struct):
    queries: list[_Answered]


class _Step(msgspec.Struct, gc=False):
    timestamp: datetime
    value: float | None
    samples: float


class _SteppedSeries(msgspec.Struct):
    group: dict[str, str | None]
    points: list[_Step]


class _Stepped(msgspec.Struct):
    series: list[_SteppedSeries]


class _SteppedBody(msgspec.Struct):
    queries: list[_Stepped]


class _Problem(msgspec.Struct):
    detail: str = ""
    path: str = ""


_answers = msgspec.json.Decoder(_Body)
_histories = msgspec.json.Decoder(_SteppedBody)
_problems = msgspec.json.Decoder(_Problem)
_encoder = msgspec.json.Encoder()


class _UnanswerableError(Exception):
    """The request was refused; ``index`` is of the query that was wrong, if the answer says so."""

    def __init__(self, reason: str, index: int | None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.index = index


class MetricsClient:
    """Asks metrics-svc, all questions about one window in one request."""

    def __init__(self, session: aiohttp.ClientSession, url: str, *, timeout_seconds: float) -> None:
        self._session = session
        self._url = f"{url}/api/metrics/query"
        self._timeout = timeout_seconds
        self._refused: dict[Query, tuple[str, float]] = {}

    async def ask(
        self, queries: Sequence[Query], *, wall: float, seconds: float | None = None
    ) -> Answers:
        """Answer all of ``queries``; see ``Measures``."""
        now = time.monotonic()
        self._refused = {q: kept for q, kept in self._refused.items() if kept[1] > now}
        wanted = dict.fromkeys(queries)
        refused = {query: self._refused[query][0] for query in wanted if query in self._refused}
        found: dict[Query, Answer] = {}
        requests = list(_requests(query for query in wanted if query not in refused))
        async with self._failing(seconds or self._timeout):
            for asked in requests:
                await self._ask(asked, wall, found, refused)
        for query, reason in refused.items():
            self._refused.setdefault(query, (reason, now + REFUSED_SECONDS))
        return Answers(found, refused)

    async def _ask(
        self, asked: list[Query], wall: float, found: dict[Query, Answer], refused: dict[Query, str]
    ) -> None:
        while asked:
            try:
                body = await self._post({"queries": _questions(asked), **_window(asked[0], wall)})
            except _UnanswerableError as error:
                if error.index is not None and error.index < len(asked):
                    refused[asked.pop(error.index)] = error.reason
                elif len(asked) == 1:
                    refused[asked.pop()] = error.reason
                else:
                    # Too much at once: whichever it was, the others can be answered.
                    half = len(asked) // 2
                    await self._ask(asked[:half], wall, found, refused)
                    asked = asked[half:]
                continue
            answered = _decoded(_answers, body).queries
            if len(answered) != len(asked):
                raise MeasuresError("metrics-svc answered another number of questions than asked")
            for query, answer in zip(asked, answered, strict=True):
                found[query] = {
                    _group(query, series.group): (series.value, series.samples)
                    for series in answer.series
                }
            return

    async def history(
        self, queries: Sequence[Query], *, begin: float, end: float, step_seconds: int
    ) -> Mapping[Query, History]:
        """Answer ``queries`` for each step of the past; see ``Measures``."""
        wanted = list(dict.fromkeys(queries))
        found: dict[Query, dict[Group, list[Point]]] = {query: {} for query in wanted}
        # Steps lie on whole multiples, so requests that meet there share none.
        start = begin // step_seconds * step_seconds
        while start < end:
            stop = min(end, start + (MAX_STEPS - 1) * step_seconds)
            for first in range(0, len(wanted), MAX_QUERIES):
                part = wanted[first : first + MAX_QUERIES]
                async with self._failing(self._timeout):
                    await self._stretch(part, (start, stop), step_seconds, found)
            start = stop
        return found

    async def _stretch(
        self,
        asked: Sequence[Query],
        stretch: tuple[float, float],
        step: int,
        found: dict[Query, dict[Group, list[Point]]],
    ) -> None:
        begin, end = stretch
        body = {
            "queries": _questions(asked),
            "from": _instant(begin),
            "to": _instant(end),
            "step_seconds": step,
        }
        try:
            answered = _decoded(_histories, await self._post(body)).queries
        except _UnanswerableError as error:
            raise RefusedError(error.reason) from None
        for query, answer in zip(asked, answered, strict=True):
            for series in answer.series:
                points = found[query].setdefault(_group(query, series.group), [])
                points.extend(
                    Point(step.timestamp.timestamp(), step.value, step.samples)
                    for step in series.points
                )

    async def _post(self, body: object) -> bytes:
        async with self._session.post(
            self._url,
            data=_encoder.encode(body),
            headers={"Content-Type": "application/json"},
            allow_redirects=False,
        ) as response:
            told = await _read(response)
            if response.status == 422:
                raise _unanswerable(told)
            if response.status != 200:
                raise MeasuresError(f"metrics-svc answered {response.status}")
            return told

    @asynccontextmanager
    async def _failing(self, seconds: float) -> AsyncGenerator[None]:
        """Turn all that a request may meet inside the block into ``MeasuresError``."""
        try:
            async with asyncio.timeout(seconds):
                yield
        except TimeoutError:
            raise MeasuresError(f"metrics-svc gave no answer within {seconds:g} s") from None
        except (aiohttp.ClientError, OSError) as error:
            raise MeasuresError(f"metrics-svc cannot be reached: {type(error).__name__}") from error


@asynccontextmanager
async def open_metrics(url: str, *, timeout_seconds: float) -> AsyncGenerator[MetricsClient]:
    """Open the client for the block; metrics-svc need not be up."""
    connector = aiohttp.TCPConnector(limit=8, keepalive_timeout=60.0)
    async with aiohttp.ClientSession(
        connector=connector,
        timeout=aiohttp.ClientTimeout(total=None),
        trust_env=False,
        cookie_jar=aiohttp.DummyCookieJar(),
    ) as session:
        yield MetricsClient(session, url, timeout_seconds=timeout_seconds)


def _requests(queries: Iterable[Query]) -> Iterator[list[Query]]:
    windows: dict[int, list[Query]] = {}
    for query in queries:
        windows.setdefault(query.window_seconds, []).append(query)
    for found in windows.values():
        for first in range(0, len(found), MAX_QUERIES):
            yield found[first : first + MAX_QUERIES]


def _questions(queries: Sequence[Query]) -> list[dict[str, object]]:
    return [
        {
            "measure": query.measure,
            "aggregation": query.aggregation,
            **({"denominator": query.denominator} if query.denominator else {}),
            "group_by": query.group_by,
            "filters": dict(query.filters),
        }
        for query in queries
    ]


def _window(query: Query, wall: float) -> dict[str, object]:
    minutes, rest = divmod(query.window_seconds, 60)
    if minutes and not rest:
        return {"time_window_minutes": minutes}
    return {"from": _instant(wall - query.window_seconds)}


def _instant(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat()


def _group(query: Query, group: Mapping[str, str | None]) -> Group:
    return tuple([group.get(name) for name in query.group_by])


def _unanswerable(body: bytes) -> _UnanswerableError:
    try:
        problem = _problems.decode(body)
    except msgspec.DecodeError:
        return _UnanswerableError("metrics-svc refuses the question", None)
    match = _PATH.match(problem.path)
    # What it says names the place in our request, which tells nobody anything.
    return _UnanswerableError(problem.detail[:500], int(match[1]) if match else None)


def _decoded(decoder: msgspec.json.Decoder[_T], body: bytes) -> _T:
    try:
        return decoder.decode(body)
    except msgspec.DecodeError as error:
        raise MeasuresError(f"metrics-svc answered something else: {error}") from None


async def _read(response: aiohttp.ClientResponse) -> bytes:
    chunks: list[bytes] = []
    size = 0
    async for chunk in response.content.iter_any():
        size += len(chunk)
        if size > MAX_ANSWER_BYTES:
            raise MeasuresError("metrics-svc's answer does not end")
        chunks.append(chunk)
    return b"".join(chunks)
