import asyncio
import gzip
from collections import Counter
from collections.abc import AsyncGenerator
from dataclasses import replace
from typing import Any

import httpx
import pytest
import pytest_asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flags_svc.domain.flag import Environment, InEnvironment
from flags_svc.live.event_id import EventId
from tests.flags_svc.ofrep_app import (
    FLAGS,
    LIFE_SECONDS,
    MAX_BODY,
    Memory,
    Scene,
    a_flag,
    a_scene,
    a_world,
)
from tests.flags_svc.ofrep_schema import check_all, check_one
from windsock.flags.definition import Condition, Rule
from windsock_kit.testing import FakeClock, running

ONE = "/ofrep/v1/evaluate/flags/"
ALL = "/ofrep/v1/evaluate/flags"
ANN = {"context": {"targetingKey": "ann"}}


@pytest.fixture
def scene() -> Scene:
    return a_scene()


@pytest_asyncio.fixture
async def client(scene: Scene) -> AsyncGenerator[httpx.AsyncClient]:
    async with running(scene.app) as client:
        yield client


async def one(client: httpx.AsyncClient, key: str, **given: Any) -> dict[str, Any]:
    response = await client.post(ONE + key, **({"json": ANN} | given))
    found: dict[str, Any] = response.json()
    check_one(response.status_code, found)
    assert found["key"] == key
    return found | {"status": response.status_code}


async def every(client: httpx.AsyncClient, **given: Any) -> httpx.Response:
    response = await client.post(ALL, **({"json": ANN} | given))
    if response.status_code != 304:
        check_all(response.status_code, response.json())
    return response


def by_key(response: httpx.Response) -> dict[str, dict[str, Any]]:
    return {each["key"]: each for each in response.json()["flags"]}


@pytest.mark.parametrize(
    ("key", "context", "told"),
    [
        ("static", {}, {"value": True, "variant": "on", "reason": "STATIC"}),
        ("text", {}, {"value": "Grüße, 世界", "variant": "hello", "reason": "STATIC"}),
        ("whole", {}, {"value": 2**53 - 1, "variant": "many", "reason": "STATIC"}),
        ("fraction", {}, {"value": 1.0, "variant": "one", "reason": "STATIC"}),
        ("targeted", {}, {"value": True, "variant": "on", "reason": "TARGETING_MATCH"}),
        (
            "targeted",
            {"country": "DE"},
            {"value": False, "variant": "off", "reason": "TARGETING_MATCH"},
        ),
        ("bad~key:a.b|c", {}, {"value": True, "variant": "on", "reason": "STATIC"}),
    ],
)
async def test_one_flag_is_evaluated(
    client: httpx.AsyncClient, key: str, context: dict[str, Any], told: dict[str, Any]
) -> None:
    assert await one(client, key, json={"context": context}) == {"key": key, "status": 200, **told}


async def test_a_float_has_a_decimal_point_and_an_object_is_whole(
    client: httpx.AsyncClient,
) -> None:
    assert b'"value":1.0' in (await client.post(ONE + "fraction", json=ANN)).content
    found = await one(client, "object")
    assert found["value"] == {"a": [1, 2.5, None], "b": {"c": "d"}}


async def test_a_split_needs_the_user_and_says_so(client: httpx.AsyncClient) -> None:
    found = await one(client, "half")
    assert (found["status"], found["reason"]) == (200, "SPLIT")
    for context in ({}, {"targetingKey": ""}):
        missing = await one(client, "half", json={"context": context})
        assert (missing["status"], missing["errorCode"]) == (400, "TARGETING_KEY_MISSING")
        assert "targetingKey" in missing["errorDetails"]


async def test_a_split_by_an_attribute_needs_that(client: httpx.AsyncClient) -> None:
    missing = await one(client, "by-company")
    assert (missing["status"], missing["errorCode"]) == (400, "INVALID_CONTEXT")
    assert "company" in missing["errorDetails"]
    assert (await one(client, "by-company", json={"context": {"company": 7}}))["reason"] == "SPLIT"


async def test_no_user_is_needed_where_the_rule_does_not_hold(client: httpx.AsyncClient) -> None:
    assert (await one(client, "germans-half", json={}))["variant"] == "on"
    germany = {"context": {"country": "DE"}}
    assert (await one(client, "germans-half", json=germany))["errorCode"] == "TARGETING_KEY_MISSING"


async def test_what_is_disabled_gives_its_off_variant(
    client: httpx.AsyncClient, scene: Scene
) -> None:
    await scene.disable("disabled")
    found = await one(client, "disabled")
    assert (found["reason"], found["variant"], found["value"]) == ("DISABLED", "b", "B")


@pytest.mark.parametrize("key", ["missing", "a/b", "static/", "ü", "x" * 3_000, "%00", " "])
async def test_what_is_not_there_is_not_found(client: httpx.AsyncClient, key: str) -> None:
    response = await client.post(ONE + key.replace("%", "%25"), json=ANN)
    check_one(response.status_code, response.json())
    assert (response.status_code, response.json()["errorCode"]) == (404, "FLAG_NOT_FOUND")
    assert len(response.json()["errorDetails"]) < 200


async def test_a_flag_that_cannot_be_used_is_told_as_that(
    client: httpx.AsyncClient, scene: Scene
) -> None:
    broken = Rule(Condition("x", "matches", ("(",)), "off")
    await scene.put(a_flag("broken", rules=(broken,)), a_flag("well"))
    found = await one(client, "broken")
    assert (found["status"], found["errorCode"]) == (400, "PARSE_ERROR")
    flags = by_key(await every(client))
    assert flags["broken"]["errorCode"] == "PARSE_ERROR"
    assert flags["well"]["value"] is True


async def test_archived_flags_are_not_there(client: httpx.AsyncClient, scene: Scene) -> None:
    await scene.put(replace(FLAGS[0], archived=True))
    assert (await one(client, "static"))["errorCode"] == "FLAG_NOT_FOUND"
    assert "static" not in by_key(await every(client))


async def test_all_flags_are_evaluated_as_each_alone(client: httpx.AsyncClient) -> None:
    for context in ({}, {"targetingKey": "ann"}, {"targetingKey": "bob", "country": "DE"}):
        flags = by_key(await every(client, json={"context": context}))
        assert flags.keys() == {flag.key for flag in FLAGS}
        for key, flag in flags.items():
            alone = await one(client, key, json={"context": context})
            assert {"status": alone["status"], **flag} == alone


async def test_an_environment_without_flags_has_an_answer(client: httpx.AsyncClient) -> None:
    empty = Scene(Memory(a_world([])))
    async with running(empty.app) as other:
        assert (await every(other)).json()["flags"] == []


async def test_the_environment_may_be_chosen(client: httpx.AsyncClient) -> None:
    by_header = {"headers": {"X-Windsock-Environment": "staging"}}
    by_query = {"params": {"environment": "staging"}}
    for chosen in (by_header, by_query):
        assert (await one(client, "static", **chosen))["reason"] == "DISABLED"
        response = await every(client, **chosen)
        assert response.json()["metadata"]["environment"] == "staging"
        assert by_key(response)["static"]["value"] is False


@pytest.mark.parametrize("name", ["nowhere", "é", "x" * 500])
async def test_an_unknown_environment_is_refused_with_those_there_are(
    client: httpx.AsyncClient, name: str
) -> None:
    wrong = {"headers": {"X-Windsock-Environment": name.encode("latin-1")}}
    for found in (await one(client, "static", **wrong), (await every(client, **wrong)).json()):
        assert found["errorCode"] == "GENERAL"
        assert "production, staging" in found["errorDetails"]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "PARSE_ERROR"),
        (b"no json", "PARSE_ERROR"),
        (b'{"context":[]}', "INVALID_CONTEXT"),
        (b'{"context":{"targetingKey":1}}', "INVALID_CONTEXT"),
        (b'{"context":{"a":' + b"[" * 500 + b"]" * 500 + b"}}", "INVALID_CONTEXT"),
    ],
)
async def test_a_wrong_body_fails_the_whole_request(
    client: httpx.AsyncClient, body: bytes, code: str
) -> None:
    response = await every(client, content=body)
    assert (response.status_code, response.json()["errorCode"]) == (400, code)
    if b"[[" not in body:
        assert (await one(client, "static", content=body))["errorCode"] == code


async def test_a_body_is_bounded(client: httpx.AsyncClient) -> None:
    large = b'{"context":{"a":"' + b"x" * MAX_BODY + b'"}}'
    for path in (ONE + "static", ALL):
        response = await client.post(path, content=large)
        assert response.status_code == 413
        assert response.json()["errorCode"] == "GENERAL"
        assert str(MAX_BODY) in response.json()["errorDetails"]


async def test_a_body_may_be_compressed_or_come_in_parts(client: httpx.AsyncClient) -> None:
    body = b'{"context":{"country":"DE"}}'
    packed = {"content": gzip.compress(body), "headers": {"Content-Encoding": "gzip"}}
    assert (await one(client, "targeted", **packed))["variant"] == "off"

    async def parts() -> AsyncGenerator[bytes]:
        yield body[:10]
        yield body[10:]

    assert (await one(client, "targeted", content=parts()))["variant"] == "off"
    damaged = {"content": b"no gzip", "headers": {"Content-Encoding": "gzip"}}
    assert (await one(client, "targeted", **damaged))["errorCode"] == "PARSE_ERROR"
    unknown = {"content": body, "headers": {"Content-Encoding": "br"}}
    assert (await one(client, "targeted", **unknown))["status"] == 415


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    context=st.dictionaries(
        st.sampled_from(["targetingKey", "country", "company", "x", ""]),
        st.recursive(
            st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.text(max_size=5),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
            max_leaves=5,
        ),
    )
)
async def test_every_context_has_an_answer(
    client: httpx.AsyncClient, context: dict[str, Any]
) -> None:
    response = await every(client, json={"context": context})
    assert response.status_code in {200, 400}


async def test_a_tag_stands_for_configuration_and_context(
    client: httpx.AsyncClient, scene: Scene
) -> None:
    first = await every(client)
    tag = first.headers["etag"]
    same = {"headers": {"If-None-Match": tag}}
    unchanged = await every(client, **same)
    assert (unchanged.status_code, unchanged.content) == (304, b"")
    assert unchanged.headers["etag"] == tag
    assert (await every(client, **same, json={"context": {"targetingKey": "bob"}})).is_success
    assert (await every(client, **same, params={"environment": "staging"})).is_success

    await scene.put(a_flag("text", staging=InEnvironment(enabled=True)))
    await scene.put(FLAGS[2])
    await scene.put(a_flag("static", staging=InEnvironment(enabled=True)))
    assert (await every(client, **same)).status_code == 304, "all of that is as it was"
    await scene.disable("static")
    changed = await every(client, **same)
    assert changed.status_code == 200
    assert by_key(changed)["static"]["value"] is False


async def test_a_compressing_proxy_weakens_the_tag_and_it_still_counts(
    client: httpx.AsyncClient,
) -> None:
    tag = "W/" + (await every(client)).headers["etag"]
    assert (await every(client, headers={"If-None-Match": f'"x", {tag}'})).status_code == 304


async def test_all_processes_give_the_same_tag(client: httpx.AsyncClient) -> None:
    other = a_scene()
    async with running(other.app) as also:
        assert (await every(client)).headers["etag"] == (await every(also)).headers["etag"]


def stream_of(response: httpx.Response) -> str:
    [stream] = response.json()["eventStreams"]
    address: str = stream["endpoint"]["requestUri"]
    return address


async def test_who_is_told_that_nothing_has_changed_has_an_address_that_opens() -> None:
    clock = FakeClock()
    scene = a_scene(clock=clock)
    async with running(scene.app) as client:
        first = await every(client)
        same = {"headers": {"If-None-Match": first.headers["etag"]}}
        token = stream_of(first).partition("token=")[2]
        for _ in range(3):
            clock.advance(LIFE_SECONDS / 8)
            assert (await every(client, **same)).status_code == 304
            assert scene.tokens.read(token).environment == "production"
        clock.advance(LIFE_SECONDS / 8)
        later = await every(client, **same)
        assert later.status_code == 200
        assert by_key(later) == by_key(first)
        assert stream_of(later) != stream_of(first)
        assert later.headers["etag"] != first.headers["etag"]


async def test_who_asks_again_keeps_the_same_stream(
    client: httpx.AsyncClient, scene: Scene
) -> None:
    first = stream_of(await every(client))
    assert stream_of(await every(client, json={})) == first
    assert stream_of(await every(client, params={"environment": "staging"})) != first
    await scene.disable("static")
    assert stream_of(await every(client)) != first, "who comes there now knows more"


async def test_while_there_is_no_room_nobody_is_sent_to_a_stream() -> None:
    scene = a_scene(max_streams=1)
    async with running(scene.app) as client:
        first = await every(client)
        assert stream_of(first)
        taken = scene.hub.subscribe("production", None, scene.ofrep.events)
        same = {"headers": {"If-None-Match": first.headers["etag"]}}
        full = await every(client, **same)
        assert full.status_code == 200
        assert "eventStreams" not in full.json()
        scene.hub.leave(taken)
        assert (await every(client, **same)).status_code == 304


async def test_who_has_heard_of_more_than_is_known_here_is_given_that(
    client: httpx.AsyncClient, scene: Scene
) -> None:
    await every(client)
    await scene.put(replace(FLAGS[0], environments={}), elsewhere=True)
    heard = str(EventId(scene.live.world.epoch, 8))
    for useless in ("", "x", "other-9", str(EventId(scene.live.world.epoch, 7))):
        response = await every(client, params={"flagConfigEtag": useless})
        assert by_key(response)["static"]["value"] is True
    told = await every(client, params={"flagConfigEtag": heard, "flagConfigLastModified": "1"})
    assert by_key(told)["static"]["value"] is False


async def test_many_who_have_heard_of_more_are_one_question(
    client: httpx.AsyncClient, scene: Scene
) -> None:
    await scene.put(replace(FLAGS[0], environments={}), elsewhere=True)
    heard = {"flagConfigEtag": str(EventId(scene.live.world.epoch, 8))}
    told = await asyncio.gather(*(every(client, params=heard) for _ in range(20)))
    assert {by_key(each)["static"]["value"] for each in told} == {False}
    assert scene.configuration.asked == 1


async def test_who_has_heard_of_what_cannot_be_read_is_given_what_is_known(
    client: httpx.AsyncClient, scene: Scene
) -> None:
    scene.configuration.away = True
    heard = {"flagConfigEtag": str(EventId(scene.live.world.epoch, 10**18))}
    response = await every(client, params=heard)
    assert by_key(response)["static"]["value"] is True
    assert scene.configuration.asked == 2


async def test_as_long_as_nothing_is_known_clients_come_again() -> None:
    scene = Scene(Memory(replace(a_world(), revision=0)))
    async with running(scene.app) as client:
        found = await one(client, "static")
        assert (found["status"], found["errorCode"]) == (503, "GENERAL")
        response = await every(client)
        assert response.status_code == 503
        assert int(response.headers["retry-after"]) >= 1


async def test_evaluations_are_counted_once(client: httpx.AsyncClient, scene: Scene) -> None:
    await one(client, "static")
    await one(client, "half", json={})
    tag = (await every(client)).headers["etag"]
    await every(client, headers={"If-None-Match": tag})
    await scene.disable("static")
    await every(client)
    await every(client, params={"environment": "staging"})

    counted = scene.ofrep.answers.counted()
    assert counted["production", "static", "on"] == 2
    assert counted["production", "static", "off"] == 1
    assert counted["staging", "static", "off"] == 1
    halves: Counter[str] = Counter()
    for (environment, key, _), count in counted.items():
        halves[f"{environment} {key}"] += count
    assert halves["production half"] == 2, "one failed, and one was known"
    assert scene.ofrep.answers.counted() == {}
    await one(client, "text")
    assert scene.ofrep.answers.counted() == {("production", "text", "hello"): 1}


async def test_a_page_of_this_machine_may_ask_and_read_tags(client: httpx.AsyncClient) -> None:
    page = {"Origin": "http://localhost:5173"}
    asked = {"Access-Control-Request-Method": "POST"}
    for path in (ALL, ONE + "static"):
        allowed = await client.options(path, headers=page | asked)
        assert allowed.status_code == 204
        assert allowed.headers["access-control-allow-origin"] == page["Origin"]
        assert "POST" in allowed.headers["access-control-allow-methods"]
        for header in ("If-None-Match", "Content-Type", "Authorization", "X-API-Key"):
            assert header in allowed.headers["access-control-allow-headers"]

    response = await every(client, headers=page)
    tag = {"If-None-Match": response.headers["etag"]}
    wrong = await client.post(ONE + "missing", json=ANN, headers=page)
    for each in (response, await every(client, headers=page | tag), wrong):
        assert each.headers["access-control-allow-origin"] == page["Origin"]
        assert "ETag, Retry-After" in each.headers["access-control-expose-headers"]
        assert each.headers["vary"] == "Origin"
    assert "access-control-allow-origin" not in (await every(client)).headers
    elsewhere = await client.post(ALL, json=ANN, headers={"Origin": "https://evil.example"})
    assert elsewhere.status_code == 403


async def test_other_methods_are_refused(client: httpx.AsyncClient) -> None:
    for path in (ALL, ONE + "static"):
        response = await client.get(path)
        assert response.status_code == 405
        assert "POST" in response.headers["allow"]


async def test_a_new_environment_is_there_at_once(client: httpx.AsyncClient, scene: Scene) -> None:
    await scene.put(Environment("canary"))
    response = await every(client, params={"environment": "canary"})
    assert by_key(response)["static"]["reason"] == "DISABLED"
    await scene.delete("environment", "canary")
    gone = await every(client, params={"environment": "canary"})
    assert gone.status_code == 400
