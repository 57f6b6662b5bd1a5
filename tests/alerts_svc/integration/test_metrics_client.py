from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any

import orjson
import pytest
import pytest_asyncio
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from alerts_svc.clients import metrics
from alerts_svc.clients.measures import MeasuresError, RefusedError
from alerts_svc.clients.metrics import MetricsClient, open_metrics
from alerts_svc.domain.rule import Query
from tests.alerts_svc.services import runs, send_events
from windsock_embedded import ports
from windsock_kit.testing import serving


def average(window: int = 60, *, operation: str = "client") -> Query:
    return Query(
        "performance.duration_ms",
        "avg",
        window,
        None,
        ("operation",),
        (("operation", (operation,)),),
    )


@pytest_asyncio.fixture
async def client(metrics_url: str) -> AsyncGenerator[MetricsClient]:
    async with open_metrics(metrics_url, timeout_seconds=5) as client:
        yield client


@pytest_asyncio.fixture(scope="session", autouse=True)
async def measured(metrics_url: str) -> None:
    await send_events(metrics_url, runs("client", 100, 3) + runs("client", 200, 1))


Handler = Callable[[Request[Any]], Awaitable[Response]]


def answering(handler: Handler) -> Starlette:
    return Starlette(routes=[Route("/api/metrics/query", handler, methods=["POST"])])


async def test_answers_are_told_by_group_with_their_samples(client: MetricsClient) -> None:
    ratio = Query("performance.errors", "ratio", 300, "performance.count", ("operation",))

    answers = await client.ask([average(), ratio], wall=time.time())

    assert answers.found[average()] == {("client",): (125.0, 4.0)}
    assert answers.found[ratio][("client",)] == (0.0, 4.0)
    assert answers.refused == {}


async def test_windows_that_are_no_whole_minutes_are_answered_too(client: MetricsClient) -> None:
    answers = await client.ask([average(90), average(600)], wall=time.time())

    assert answers.found[average(90)] == {("client",): (125.0, 4.0)}
    assert answers.found[average(600)] == {("client",): (125.0, 4.0)}


async def test_a_question_of_nothing_has_an_answer_without_groups(client: MetricsClient) -> None:
    nobody = average(operation="nobody")

    assert (await client.ask([nobody], wall=time.time())).found == {nobody: {}}


async def test_filters_may_ask_for_no_value(client: MetricsClient) -> None:
    query = Query(
        "performance.count",
        "sum",
        60,
        None,
        ("gap_priority",),
        (("gap_priority", (None,)), ("operation", ("client",))),
    )

    assert (await client.ask([query], wall=time.time())).found == {query: {(None,): (4.0, 4.0)}}


async def test_questions_that_are_refused_do_not_cost_the_others_their_answer(
    client: MetricsClient,
) -> None:
    unknown = Query("performance.nonsense", "avg", 60)
    foreign = Query("performance.duration_ms", "avg", 60, None, ("model",))

    answers = await client.ask([unknown, average(), foreign], wall=time.time())

    assert answers.found == {average(): {("client",): (125.0, 4.0)}}
    assert "unknown measure" in answers.refused[unknown]
    assert "no dimension" in answers.refused[foreign]


async def test_a_history_is_told_step_by_step(client: MetricsClient) -> None:
    now = time.time()

    found = await client.history([average()], begin=now - 120, end=now + 1, step_seconds=10)

    points = found[average()][("client",)]
    assert next(point for point in points if point.samples).value == 125.0
    assert {b.at - a.at for a, b in itertools.pairwise(points)} == {10.0}


async def test_a_history_in_several_requests_has_no_gap_and_no_step_twice(
    client: MetricsClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metrics, "MAX_STEPS", 5)
    now = time.time()

    number = Query("performance.count", "sum", 60)

    found = await client.history([number], begin=now - 180, end=now, step_seconds=10)

    points = found[number][()]
    assert len(points) in (18, 19)
    assert {b.at - a.at for a, b in itertools.pairwise(points)} == {10.0}


async def test_a_history_that_is_refused_says_why(client: MetricsClient) -> None:
    now = time.time()

    with pytest.raises(RefusedError, match="unknown measure"):
        await client.history([Query("x.y", "avg", 60)], begin=now - 60, end=now, step_seconds=10)


async def test_all_questions_about_a_window_go_in_few_requests() -> None:
    requests: list[int] = []

    async def count(request: Request[Any]) -> Response:
        asked = orjson.loads(await request.body())["queries"]
        requests.append(len(asked))
        return Response(orjson.dumps({"queries": [{"series": []} for _ in asked]}))

    queries = [Query(f"a.b{number}", "avg", 60) for number in range(150)]
    queries += [Query("a.b1", "avg", 300), Query("a.b1", "avg", 60)]
    async with (
        serving(answering(count)) as url,
        open_metrics(url, timeout_seconds=5) as client,
    ):
        answers = await client.ask(queries, wall=time.time())

    assert len(answers.found) == 151
    assert sorted(requests) == [1, 50, 100]


async def test_a_refused_question_is_not_asked_again_at_once() -> None:
    asked: list[list[str]] = []

    async def refuse(request: Request[Any]) -> Response:
        names = [query["measure"] for query in orjson.loads(await request.body())["queries"]]
        asked.append(names)
        if "bad" in names:
            path = f"queries[{names.index('bad')}].measure"
            return Response(orjson.dumps({"detail": "unknown", "path": path}), 422)
        return Response(orjson.dumps({"queries": [{"series": []} for _ in names]}))

    queries = [Query("good", "avg", 60), Query("bad", "avg", 60)]
    async with (
        serving(answering(refuse)) as url,
        open_metrics(url, timeout_seconds=5) as client,
    ):
        answers = [await client.ask(queries, wall=time.time()) for _ in range(3)]

    assert [set(told.refused.values()) for told in answers] == [{"unknown"}] * 3
    assert asked == [["good", "bad"], ["good"], ["good"], ["good"]]


async def test_too_much_at_once_is_asked_in_halves() -> None:
    async def most(request: Request[Any]) -> Response:
        names = [query["measure"] for query in orjson.loads(await request.body())["queries"]]
        if len(names) > 1 or names == ["wide"]:
            return Response(orjson.dumps({"detail": "too many cells", "path": "queries"}), 422)
        return Response(orjson.dumps({"queries": [{"series": []}]}))

    queries = [Query(name, "avg", 60) for name in ("a", "b", "wide", "c", "d")]
    async with serving(answering(most)) as url, open_metrics(url, timeout_seconds=5) as client:
        answers = await client.ask(queries, wall=time.time())

    assert sorted(query.measure for query in answers.found) == ["a", "b", "c", "d"]
    assert {query.measure: why for query, why in answers.refused.items()} == {
        "wide": "too many cells"
    }


@pytest.mark.parametrize(
    "answer",
    [
        Response("", 503),
        Response("<html>", 200),
        Response("{}", 200),
        Response('{"queries": []}', 200),
        Response('{"queries": [{"series": [{"group": 7}]}]}', 200),
        Response("", 302, {"Location": "http://127.0.0.1:1/"}),
    ],
    ids=["503", "no json", "no answers", "too few", "another shape", "redirect"],
)
async def test_whatever_else_is_answered_is_no_answer(answer: Response) -> None:
    async def same(_: Request[Any]) -> Response:
        return answer

    async with serving(answering(same)) as url, open_metrics(url, timeout_seconds=5) as client:
        with pytest.raises(MeasuresError):
            await client.ask([average()], wall=time.time())


async def test_a_service_that_is_away_or_silent_is_told_in_time() -> None:
    async def silent(_: Request[Any]) -> Response:
        await asyncio.sleep(40)
        return Response()

    async with open_metrics(f"http://127.0.0.1:{ports.free_port()}", timeout_seconds=5) as client:
        with pytest.raises(MeasuresError, match="cannot be reached"):
            await client.ask([average()], wall=time.time())
    async with serving(answering(silent)) as url, open_metrics(url, timeout_seconds=5) as client:
        began = time.monotonic()
        with pytest.raises(MeasuresError, match=r"no answer within 0\.2 s"):
            await client.ask([average()], wall=time.time(), seconds=0.2)

        assert time.monotonic() - began < 20


async def test_an_answer_without_end_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "MAX_ANSWER_BYTES", 1_000)

    async def long(_: Request[Any]) -> Response:
        return Response(b" " * 10_000)

    async with serving(answering(long)) as url, open_metrics(url, timeout_seconds=5) as client:
        with pytest.raises(MeasuresError, match="does not end"):
            await client.ask([average()], wall=time.time())
