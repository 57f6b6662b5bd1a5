"""What is done to a flag in one environment: to switch it, to roll it out, to plan."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.flags_svc.api import FLAGS, Api

USERS = [f"user-{number}" for number in range(100)]


def production(flag: Any) -> Any:
    return flag["environments"]["production"]


async def test_enable_and_disable_answer_the_new_state_and_its_version(api: Api) -> None:
    await api.make("switched")

    on = await api.do("POST", "/switched/enable", {"environment": "production"})
    variant = await api.gives("switched")
    # Without an environment it is done in production.
    off = await api.do("POST", "/switched/disable")

    assert (production(on)["enabled"], on["version"], variant) == (True, 2, "on")
    assert (production(off)["enabled"], off["version"]) == (False, 3)
    assert await api.gives("switched") == "off"


async def test_a_rollout_keeps_who_is_in_and_lets_the_last_leave_first(api: Api) -> None:
    await api.make("rolled")
    await api.do("POST", "/rolled/enable")

    async def who() -> set[str]:
        return {user for user in USERS if await api.gives("rolled", user) == "on"}

    shares: dict[int, set[str]] = {}
    for percentage in (10, 25, 60, 25, 10):
        answer = await api.do("POST", "/rolled/rollout", {"percentage": percentage})
        assert production(answer)["fallthrough"]["rollout"]["percentage"] == percentage
        now = await who()
        assert shares.setdefault(percentage, now) == now

    assert shares[10] < shares[25] < shares[60]
    assert 0.4 < len(shares[60]) / len(USERS) < 0.8


async def test_a_rollout_enables_nothing_and_says_so(api: Api) -> None:
    await api.make("asleep")

    answer = await api.do(
        "POST", "/asleep/rollout", {"percentage": 25, "environment": "production"}
    )

    assert production(answer)["enabled"] is False
    assert "disabled in production" in answer["warnings"][0]
    assert "warnings" not in await api.get("/asleep")


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"percentage": 101}, "percentage"),
        ({"percentage": -1}, "percentage"),
        ({"percentage": "25"}, "percentage"),
        ({"percentage": True}, "percentage"),
        ({"percentage": None}, "percentage"),
        ({"percentage": 0.0005}, "percentage"),
        ({"percentage": 10**400}, "percentage"),
        ({}, "percentage"),
        ({"percentage": 5, "variant": "other"}, "variant"),
        ({"percentage": 5, "split": {"on": -1}}, "split.on"),
        ({"percentage": 5, "split": {"on": 0}}, "split"),
        ({"percentage": 5, "split": {"on": 1.5}}, "split.on"),
        ({"percentage": 5, "colour": "red"}, "colour"),
        ({"percentage": 5, "environment": 7}, "environment"),
        ({"percentage": 5, "environment": "No Where"}, "environment"),
        ({"steps": []}, "steps"),
        ({"steps": [{"percentage": 1}, {"percentage": 2}]}, "steps[0].for_seconds"),
        ([], ""),
        ("25", ""),
    ],
)
async def test_a_wrong_rollout_is_refused_with_the_path(api: Api, body: object, path: str) -> None:
    answer = await api.do("POST", "/use_batch_generation/rollout", body, status=422)

    assert answer["path"] == path
    assert (await api.get("/use_batch_generation"))["version"] == 1


async def test_an_environment_that_is_not_there_is_told_with_those_that_are(api: Api) -> None:
    answer = await api.do(
        "POST", "/use_batch_generation/enable", {"environment": "moon"}, status=404
    )

    assert answer["path"] == "environment"
    assert {"production", "staging", "development"} <= set(answer["allowed"])


async def test_a_progressive_rollout_begins_at_once_and_goes_on_by_itself(api: Api) -> None:
    await api.make("growing")
    await api.do("POST", "/growing/enable")

    begun = await api.do(
        "POST",
        "/growing/rollout",
        {"steps": [{"percentage": 5, "for_seconds": 0.1}, {"percentage": 100}]},
    )
    done = await api.until(
        lambda: api.get("/growing"),
        lambda flag: production(flag)["fallthrough"]["rollout"]["percentage"] == 100,
    )

    assert production(begun)["fallthrough"]["rollout"]["percentage"] == 5
    assert "warnings" not in begun
    assert done["updated_by"] == "schedule"
    assert all(step["done_at"] for step in production(done)["schedule"])


async def test_a_plan_is_carried_out_and_a_hand_on_the_flag_ends_it(api: Api) -> None:
    await api.make("planned")
    soon = (datetime.now(UTC) + timedelta(seconds=0.1)).isoformat()

    await api.do("PUT", "/planned/schedule", {"steps": [
        {"at": soon, "enabled": True, "percentage": 50}, {"after_seconds": 3600, "percentage": 100},
    ]})  # fmt: skip
    running = await api.until(lambda: api.get("/planned"), lambda flag: production(flag)["enabled"])
    stopped = await api.do("POST", "/planned/rollout", {"percentage": 0})

    assert production(running)["fallthrough"]["rollout"]["percentage"] == 50
    assert len(production(running)["schedule"]) == 2
    assert len(production(stopped)["schedule"]) == 1


async def test_a_plan_that_runs_backwards_is_made_and_told(api: Api) -> None:
    await api.make("backwards")
    later, sooner = ((datetime.now(UTC) + timedelta(hours=hours)).isoformat() for hours in (2, 1))
    steps = [{"at": later, "enabled": True}, {"at": sooner, "enabled": False}]

    answer = await api.do("PUT", "/backwards/schedule", {"steps": steps})
    whole = await api.do(
        "PATCH", "/backwards", {"owner": "me", "environments": {"staging": {"schedule": steps}}}
    )

    assert len(production(answer)["schedule"]) == 2
    assert [each[:37] for each in answer["warnings"]] == ["environments.production.schedule[1] i"]
    assert len(whole["warnings"]) == 2


async def test_a_rollout_that_was_to_begin_long_ago_begins_and_says_so(api: Api) -> None:
    await api.make("overdue")
    await api.do("POST", "/overdue/enable")
    ago = (datetime.now(UTC) - timedelta(hours=1)).isoformat()

    answer = await api.do(
        "POST",
        "/overdue/rollout",
        {"at": ago, "steps": [{"percentage": 5, "for_seconds": 3600}, {"percentage": 100}]},
    )

    assert production(answer)["schedule"][0]["done_at"]
    assert "which is over: it begins now" in answer["warnings"][0]


async def test_a_percentage_that_is_there_twice_is_not_taken(api: Api) -> None:
    await api.make("doubtful")

    answer = await api.client.post(
        f"{FLAGS}/doubtful/rollout", content=b'{"percentage": 5, "percentage": 100}'
    )

    assert (answer.status_code, answer.json()["path"]) == (422, "percentage")
    assert (await api.get("/doubtful"))["version"] == 1


async def test_actions_take_no_more_than_they_know(api: Api) -> None:
    answers = [
        await api.do("POST", "/use_batch_generation/enable", {"environmet": "x"}, status=422),
        await api.do("POST", "/use_batch_generation/archive", {"force": True}, status=422),
        await api.do("POST", "/use_batch_generation/enable?now=1", status=422),
        await api.do("POST", "/nothing/enable", status=404),
        await api.do("POST", "/nothing/rollout", {"percentage": 1}, status=404),
    ]

    assert [answer["path"] for answer in answers[:3]] == ["environmet", "force", "now"]
