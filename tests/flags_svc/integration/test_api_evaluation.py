"""What flags give somebody, and why, now and then; which of them could go; and all of them in one document."""

from __future__ import annotations

from typing import Any

import asyncpg
import orjson
import pytest

from tests.fixtures.servers import RunningPostgres
from tests.flags_svc.api import FLAGS, Api, running_api


async def test_an_evaluation_tells_every_step(api: Api) -> None:
    await api.do("POST", "/segments", {"key": "crew", "included": ["grace"]}, status=201)
    await api.make("stepped", environments={"production": {
        "enabled": True,
        "targets": [{"variant": "off", "keys": ["eve"]}],
        "rules": [{"name": "crew", "when": {"segment": "crew"}, "serve": {"variant": "on"}}],
        "fallthrough": {"rollout": {"percentage": 0, "variant": "on"}},
    }})  # fmt: skip

    async def asked(user: str) -> Any:
        return await api.do("POST", "/stepped/evaluate", {"user_id": user})

    grace, eve, ada = await asked("grace"), await asked("eve"), await asked("ada")

    assert (grace["variant"], grace["value"], grace["reason"]) == ("on", True, "TARGETING_MATCH")
    assert [step["step"] for step in grace["steps"]] == ["enabled", "targets", "rule"]
    assert (eve["variant"], eve["reason"], eve["steps"][-1]["step"]) == (
        "off", "TARGETING_MATCH", "targets",
    )  # fmt: skip
    assert (ada["variant"], ada["steps"][-1]["step"]) == ("off", "fallthrough")
    assert (ada["environment"], ada["version"]) == ("production", 1)


async def test_an_earlier_version_gives_what_it_gave(api: Api) -> None:
    await api.do("POST", "/segments", {"key": "then", "included": ["ada"]}, status=201)
    await api.make("base")
    await api.do("POST", "/base/enable")
    rules = [{"when": {"segment": "then"}, "serve": {"variant": "on"}}]
    made = await api.make(
        "time-travel",
        prerequisites=[{"flag": "base", "variants": ["on"]}],
        environments={
            "production": {"enabled": True, "rules": rules, "fallthrough": {"variant": "off"}}
        },
    )
    changed = await api.do("PUT", "/segments/then", {"included": ["grace"]})
    await api.do("POST", "/base/disable")
    await api.do("DELETE", "/time-travel", status=204)

    async def then(**when: int) -> Any:
        return await api.do("POST", "/time-travel/evaluate", {"user_id": "ada", **when})

    first, later = await then(version=1), await then(revision=changed["revision"])
    last = await then(revision=changed["revision"] + 1)

    assert (first["variant"], first["revision"], first["version"]) == ("on", made["revision"], 1)
    assert (later["variant"], last["variant"], last["reason"]) == ("off", "off", "DISABLED")
    for body, status in [
        ({"version": 2}, 404),
        ({"version": 3}, 404),
        ({"revision": 1}, 404),
        ({"revision": 10**9}, 422),
        ({"version": 1, "revision": 1}, 422),
        ({}, 404),
    ]:
        await api.do("POST", "/time-travel/evaluate", body, status=status)


async def test_what_is_missing_is_told_and_not_guessed(api: Api) -> None:
    nobody = await api.do("POST", "/use_batch_generation/evaluate", {})

    assert (nobody["variant"], nobody["reason"], nobody["error_code"]) == (
        None, "ERROR", "TARGETING_KEY_MISSING",
    )  # fmt: skip
    assert "value" not in nobody


async def test_many_flags_are_evaluated_at_once(api: Api) -> None:
    every = await api.do("POST", "/evaluate", {"user_id": "ada"})
    some = await api.do("POST", "/evaluate", {"user_id": "ada", "flags": ["use_batch_generation"]})
    wrong = await api.do("POST", "/evaluate", {"flags": ["nobody"]}, status=422)

    assert some["flags"]["use_batch_generation"] == every["flags"]["use_batch_generation"]
    assert len(every["flags"]) >= 9
    assert wrong["path"] == "flags[0]"


@pytest.mark.parametrize("body", [{"user_id": ""}, {"context": {"targetingKey": ""}}, {}])
async def test_an_empty_text_is_no_user(api: Api, body: Any) -> None:
    one = await api.do("POST", "/use_batch_generation/evaluate", body)
    several = await api.do("POST", "/evaluate", body)

    assert one["error_code"] == "TARGETING_KEY_MISSING"
    assert several["flags"]["use_batch_generation"]["error_code"] == "TARGETING_KEY_MISSING"


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"user_id": 7}, "user_id"),
        ({"context": []}, "context"),
        ({"context": {"targetingKey": 7}}, "context.targetingKey"),
        ({"environment": "Moon"}, "environment"),
        ({"version": 0}, "version"),
        ({"version": True}, "version"),
        ({"revision": 10**30}, "revision"),
        ({"user": "x"}, "user"),
    ],
)
async def test_a_wrong_question_is_refused_with_the_path(api: Api, body: Any, path: str) -> None:
    answer = await api.do("POST", "/use_batch_generation/evaluate", body, status=422)

    assert answer["path"] == path


async def test_flags_that_could_go_are_told_with_the_reasons(
    running_postgres: RunningPostgres,
) -> None:
    database = await running_postgres.new_flags_database("flags_api_stale")
    connection = await asyncpg.connect(database)
    async with running_api(database) as api:
        await connection.execute(
            "UPDATE flags.items SET created_at = created_at - 86400 * 60, updated_at = updated_at - 86400 * 60"
        )
        await connection.close()
    async with running_api(database) as api:
        found = await api.get("/stale")
        some = await api.get("/stale", reason="past_lifetime", kind="experimental", days=30)
        none = await api.get("/stale", reason="one_variant")

    assert {flag["key"] for flag in found["flags"]} >= {"use_batch_generation"}
    assert {each["reason"] for each in found["flags"][0]["reasons"]} == {
        "past_lifetime", "not_evaluated",
    }  # fmt: skip
    assert 0 < some["total"] < found["total"]
    assert {flag["kind"] for flag in some["flags"]} == {"experimental"}
    assert none["flags"] == []


async def test_an_export_is_imported_again_elsewhere_as_it_was(
    api: Api, running_postgres: RunningPostgres
) -> None:
    exported = await api.get("/export")

    async with running_api(await running_postgres.new_flags_database("flags_api_import")) as other:
        tried = await other.do("POST", "/import?dry_run=true", exported)
        untouched = await other.get("")
        done = await other.do("POST", "/import", exported)
        again = await other.do("POST", "/import", exported)
        theirs = await other.get("/export")

    ours = {name: exported[name] for name in ("environments", "segments", "flags")}
    assert {name: theirs[name] for name in ours} == ours
    assert (tried["created"], tried["dry_run"]) == (done["created"], True)
    assert untouched["total"] < len(exported["flags"])
    assert (again["created"], again["replaced"]) == ([], [])
    assert again["unchanged"] == sum(map(len, ours.values()))


async def test_an_import_is_done_whole_or_not_at_all(api: Api) -> None:
    good, bad = {"key": "import-a", "type": "boolean"}, {"key": "import-b", "type": "bool"}

    refused = await api.do("POST", "/import", {"flags": [good, bad]}, status=422)
    await api.do("GET", "/import-a", status=404)
    held = await api.do(
        "POST", "/import?on_conflict=refuse",
        {"flags": [good, {"key": "use_batch_generation", "type": "boolean"}]}, status=409,
    )  # fmt: skip
    skipped = await api.do(
        "POST", "/import?on_conflict=skip",
        {"flags": [good, {"key": "use_batch_generation", "type": "boolean"}]},
    )  # fmt: skip

    assert refused["path"] == "flags[1].type"
    assert held["code"] == "conflict"
    assert skipped["created"] == ["flag import-a"]
    assert (await api.get("/use_batch_generation"))["version"] == 1


FLAGD = {"flags": {"from-flagd": {
    "state": "ENABLED", "variants": {"red": "r", "blue": "b"}, "defaultVariant": "red",
    "targeting": {"if": [{"ends_with": [{"var": "email"}, "@example.com"]}, "blue", "red"]},
}}}  # fmt: skip


async def test_flags_of_other_tools_are_taken_for_one_environment(api: Api) -> None:
    made = await api.do("POST", "/import?format=flagd&environment=staging", FLAGD)
    await api.do("POST", "/from-flagd/enable", {"environment": "production"})
    await api.do("PATCH", "/from-flagd", {"owner": "me"})
    FLAGD["flags"]["from-flagd"]["state"] = "DISABLED"
    again = await api.do("POST", "/import?format=flagd&environment=staging", FLAGD)
    flag = await api.get("/from-flagd")
    written = await api.get("/export", format="flagd", environment="production")

    assert (made["created"], again["replaced"]) == (["flag from-flagd"], ["flag from-flagd"])
    assert flag["environments"]["staging"]["enabled"] is False
    assert flag["environments"]["production"]["enabled"] is True
    assert flag["owner"] == "me"
    assert written["flags"]["from-flagd"]["state"] == "ENABLED"


@pytest.mark.parametrize(
    ("query", "path"),
    [
        ("format=xml", "format"),
        ("environment=production", "environment"),
        ("format=flagd&environment=moon", "environment"),
        ("on_conflict=panic", "on_conflict"),
        ("dry_run=yes", "dry_run"),
    ],
)
async def test_a_wrong_import_is_refused_with_its_parameter(
    api: Api, query: str, path: str
) -> None:
    answer = await api.do("POST", f"/import?{query}", FLAGD, status=422)

    assert answer["path"] == path


@pytest.mark.parametrize("source", ["flagd", "unleash", "growthbook", "windsock"])
async def test_what_is_no_export_is_refused(api: Api, source: str) -> None:
    for body in (b"[]", b'"x"', b'{"flags": 7}', b'{"features": 7}', b'{"features": [7]}', b"7"):
        answer = await api.client.post(f"{FLAGS}/import?format={source}", content=body)

        assert answer.status_code in {200, 422}
        assert answer.status_code == 422 or answer.json()["created"] == []


async def test_a_great_export_has_room(api: Api) -> None:
    many = {
        "flags": [
            {"key": f"many-{n}", "type": "boolean", "description": "x" * 1000} for n in range(1500)
        ]
    }

    answer = await api.client.post(f"{FLAGS}/import?dry_run=true", content=orjson.dumps(many))
    over = await api.client.post(f"{FLAGS}/import", content=b" " * (16 * 2**20 + 1))

    assert len(answer.json()["created"]) == 1500
    assert over.status_code == 413
