from __future__ import annotations

from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import pytest_asyncio

from tests.alerts_svc.api import Api, running_api
from tests.alerts_svc.services import runs, send_events
from tests.fixtures.servers import RunningPostgres

RULES = "/api/alerts/rules"


@pytest_asyncio.fixture(scope="module")
async def api(running_postgres: RunningPostgres, metrics_url: str) -> AsyncGenerator[Api]:
    database = await running_postgres.new_alerts_database("alerts_api_rules")
    async with running_api(database, metrics_url) as found:
        yield found


def rule(name: str, operation: str = "nobody", **changed: Any) -> dict[str, Any]:
    return {
        "name": name,
        "group": "mine",
        "condition": {
            "type": "threshold",
            "measure": "performance.duration_ms",
            "aggregation": "avg",
            "window_seconds": 300,
            "group_by": ["operation"],
            "filters": {"operation": operation},
            "comparison": ">",
            "warning": 1000,
        },
    } | changed


async def test_a_new_installation_has_the_defaults_and_the_builtin_ones(api: Api) -> None:
    found = {each["name"]: each for each in (await api.get(RULES))["rules"]}

    assert found["HighErrorRate"]["origin"] == "default"
    assert found["EvaluationImpaired"]["origin"] == "builtin"
    assert found["ErrorBudgetBurn"]["condition"]["type"] == "burn_rate"


async def test_rules_are_listed_by_group_and_origin(api: Api) -> None:
    health = await api.get(RULES, group="health", origin="default")

    assert [each["name"] for each in health["rules"]] == [
        "HighLLMErrorRate", "QdrantDown", "RedisDown",
    ]  # fmt: skip


async def test_a_rule_is_made_read_changed_and_removed(api: Api) -> None:
    made = await api.client.post(RULES, json=rule("Mine"))
    read = await api.client.get(f"{RULES}/Mine")
    again = await api.client.put(
        f"{RULES}/Mine",
        json=made.json() | {"min_samples": 7},
        headers={"If-Match": made.headers["etag"]},
    )
    gone = await api.client.delete(f"{RULES}/Mine", headers={"If-Match": again.headers["etag"]})

    assert (made.status_code, made.headers["location"]) == (201, f"{RULES}/Mine")
    assert (made.json()["origin"], made.json()["version"], made.json()["notes"]) == ("user", 1, [])
    assert read.json() | {"notes": []} == made.json()
    assert (again.status_code, again.json()["min_samples"], again.headers["etag"]) == (
        200,
        7,
        '"2"',
    )
    assert gone.status_code == 204
    assert (await api.client.get(f"{RULES}/Mine")).status_code == 404


async def test_a_default_that_was_changed_is_the_user_s(api: Api) -> None:
    held = await api.get(f"{RULES}/HighLatencyP95")

    made = await api.client.put(f"{RULES}/HighLatencyP95", json=held | {"enabled": False})

    assert (made.json()["origin"], made.json()["enabled"]) == ("user", False)


async def test_nobody_overwrites_what_somebody_else_has_changed(api: Api) -> None:
    await api.client.post(RULES, json=rule("Shared"))
    first = await api.client.put(
        f"{RULES}/Shared", json=rule("Shared"), headers={"If-Match": '"1"'}
    )
    second = await api.client.put(
        f"{RULES}/Shared", json=rule("Shared"), headers={"If-Match": '"1"'}
    )
    # A gateway that compresses an answer makes its tag a weak one.
    compressed = await api.client.put(
        f"{RULES}/Shared", json=rule("Shared"), headers={"If-Match": 'W/"2"'}
    )
    removed = await api.client.delete(f"{RULES}/Shared", headers={"If-Match": 'W/"2"'})
    unclear = await api.client.delete(f"{RULES}/Shared", headers={"If-Match": "2"})

    assert (first.status_code, compressed.status_code) == (200, 200)
    assert (second.status_code, second.json()["code"]) == (412, "precondition_failed")
    assert (removed.status_code, unclear.status_code) == (412, 422)


@pytest.mark.parametrize(
    ("condition", "path", "word"),
    [
        ({"measure": "performance.nothing"}, "condition.measure", "unknown measure"),
        ({"aggregation": "p200"}, "condition.aggregation", "no aggregation"),
        ({"group_by": ["colour"]}, "condition.group_by", "no dimension"),
        ({"filters": {"colour": "red"}}, "condition.filters", "no dimension"),
        (
            {"aggregation": "ratio", "denominator": "performance.nothing"},
            "condition.denominator",
            "unknown measure",
        ),
    ],
    ids=["measure", "aggregation", "group_by", "filters", "denominator"],
)
async def test_a_rule_that_nobody_can_answer_is_refused(
    api: Api, condition: dict[str, Any], path: str, word: str
) -> None:
    wrong = rule("Wrong")
    wrong["condition"] |= condition

    saved = await api.client.post(RULES, json=wrong)
    tried = await api.client.post(f"{RULES}/test", json={"rule": wrong})

    assert (saved.status_code, saved.json()["path"]) == (422, path)
    assert word in saved.json()["detail"]
    assert (tried.status_code, tried.json()["path"]) == (422, f"rule.{path}")


async def test_conflicts_and_absences_are_told(api: Api) -> None:
    await api.client.post(RULES, json=rule("Twice"))

    twice = await api.client.post(RULES, json=rule("Twice"))
    builtin = await api.client.delete(f"{RULES}/EvaluationImpaired")
    other = await api.client.put(f"{RULES}/Twice", json=rule("Once"))
    nobody = await api.client.put(f"{RULES}/Nobody", json=rule("Nobody"))

    assert (twice.status_code, builtin.status_code) == (409, 409)
    assert (other.status_code, other.json()["path"]) == (422, "name")
    assert nobody.status_code == 404


async def test_a_test_says_what_each_group_measures_and_would_be(
    api: Api, metrics_url: str
) -> None:
    await send_events(metrics_url, [*runs("tried-slow", 1500, 3), *runs("tried-fast", 20, 3)])
    asked = rule("Trial", for_seconds=60)
    asked["condition"]["filters"] = {"operation": ["tried-slow", "tried-fast", "tried-never"]}

    answer = await api.client.post(f"{RULES}/test", json={"rule": asked})

    found = {each["labels"]["operation"]: each for each in answer.json()["groups"]}
    slow, fast, never = (found[f"tried-{name}"] for name in ("slow", "fast", "never"))
    assert (slow["value"], slow["samples"], slow["level"]) == (1500, 3, "warning")
    assert (slow["state"], slow["threshold"], slow["known"]) == ("pending", 1000, False)
    assert (fast["level"], fast["state"]) == (None, "inactive")
    assert (never["value"], never["reason"], never["state"]) == (None, "no_data", "inactive")


async def test_a_stored_rule_is_tested_by_its_name(api: Api) -> None:
    answer = await api.client.post(f"{RULES}/test", json={"name": "HighHourlyCost"})
    nobody = await api.client.post(f"{RULES}/test", json={"name": "Nobody"})
    both = await api.client.post(f"{RULES}/test", json={"name": "A", "rule": rule("A")})

    assert answer.json()["rule"] == "HighHourlyCost"
    assert nobody.status_code == 404
    assert (both.status_code, both.json()["path"]) == (422, "rule")


async def test_a_backtest_tells_when_it_would_have_fired(api: Api, metrics_url: str) -> None:
    began = datetime.now(UTC).replace(second=0, microsecond=0) - timedelta(hours=2)
    slow = [
        event | {"timestamp": (began + timedelta(seconds=10 * step)).isoformat()}
        for step in range(30)
        for event in runs("looked-back", 2000.0 + step)
    ]
    fast = [
        event | {"timestamp": (began + timedelta(seconds=600 + 10 * step)).isoformat()}
        for step in range(30)
        for event in runs("looked-back", 20)
    ]
    await send_events(metrics_url, [*slow, *fast])
    asked = rule("Back", "looked-back")
    asked["condition"]["window_seconds"] = 60

    answer = await api.client.post(
        f"{RULES}/backtest",
        json={"rule": asked, "from": (began - timedelta(minutes=5)).isoformat()},
    )

    body = answer.json()
    (episode,) = body["episodes"]
    assert body["step_seconds"] == 10
    assert body["counts"] == {"episodes": 1, "warning": 1, "critical": 0, "pages": 1}
    assert episode["labels"]["operation"] == "looked-back"
    assert 2000 < episode["peak"] <= 2029
    assert episode["from"].startswith(began.strftime("%Y-%m-%dT%H:%M"))
    assert any("10 s" in note for note in body["notes"])
    # Five minutes of breach, and no data until the fast ones came, which does not resolve.
    assert body["hours_firing"] == pytest.approx(600 / 3600, abs=0.02)


@pytest.mark.parametrize(
    ("asked", "path"),
    [
        ({"days": 31}, "days"),
        ({"days": 0}, "days"),
        ({"to": "2026-01-01T00:00:00Z"}, "from"),
        ({"from": "2026-01-01T00:00:00Z", "days": 1}, "days"),
        ({"from": "2020-01-01T00:00:00Z", "to": "2020-03-01T00:00:00Z"}, "from"),
        ({"from": "2090-01-01T00:00:00Z"}, "from"),
        ({"days": 30, "step_seconds": 10}, "step_seconds"),
        ({"step_seconds": 15}, "step_seconds"),
    ],
    ids=str,
)
async def test_a_backtest_is_bounded(api: Api, asked: dict[str, Any], path: str) -> None:
    answer = await api.client.post(f"{RULES}/backtest", json={"name": "HighErrorRate"} | asked)

    assert (answer.status_code, answer.json()["path"]) == (422, path)


async def test_without_metrics_svc_a_rule_is_saved_with_a_note(
    running_postgres: RunningPostgres,
) -> None:
    database = await running_postgres.new_alerts_database("alerts_api_alone")
    async with running_api(database, "http://127.0.0.1:1") as alone:
        saved = await alone.client.post(RULES, json=rule("Unchecked"))
        tried = await alone.client.post(f"{RULES}/test", json={"name": "Unchecked"})
        looked = await alone.client.post(f"{RULES}/backtest", json={"name": "Unchecked"})

    assert saved.status_code == 201
    assert "not checked" in saved.json()["notes"][0]
    assert (tried.status_code, looked.status_code) == (503, 503)
    assert tried.headers["retry-after"] == "5"
