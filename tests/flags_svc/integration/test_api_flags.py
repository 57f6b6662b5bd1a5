"""Flags over HTTP: to list, to make, to change, to remove."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.flags_svc.api import FLAGS, Api

NINE = {
    "use_prompt_cache_optimizer",
    "use_batch_generation",
    "advanced_quality_evaluation",
}


async def test_the_flags_of_the_workload_are_there_from_the_start(api: Api) -> None:
    found = await api.get("", tag="cost", limit=1000)

    keys = {flag["key"] for flag in found["flags"]}
    assert keys >= NINE
    assert {flag["updated_by"] for flag in found["flags"] if flag["key"] in NINE} == {"seed"}
    for flag in found["flags"]:
        assert set(flag["environments"]) == {"production", "staging", "development"}


async def test_a_flag_is_made_read_changed_and_removed(api: Api) -> None:
    made = await api.client.post(
        FLAGS,
        json={"key": "life", "type": "string", "variants": {"a": "x", "b": "y"},
              "default_variant": "a", "off_variant": "b"},
        headers={b"X-Windsock-Actor": "Zoë".encode(), b"X-Windsock-Comment": b"to begin"},
    )  # fmt: skip
    read = await api.client.get(FLAGS + "/life")
    patched = await api.client.patch(FLAGS + "/life", json={"description": "Changed."})
    replaced = await api.client.put(FLAGS + "/life", json={**patched.json(), "owner": "me"})
    removed = await api.client.delete(FLAGS + "/life")
    gone = await api.client.get(FLAGS + "/life")

    assert (made.status_code, made.headers["location"], made.headers["etag"]) == (
        201, FLAGS + "/life", '"1"',
    )  # fmt: skip
    assert (read.json(), made.json()["updated_by"]) == (made.json(), "Zoë")
    assert (patched.json()["description"], patched.headers["etag"]) == ("Changed.", '"2"')
    assert (replaced.json()["owner"], replaced.json()["version"]) == ("me", 3)
    assert replaced.json()["created_at"] == made.json()["created_at"]
    assert (removed.status_code, removed.content, gone.status_code) == (204, b"", 404)


async def test_what_changes_nothing_makes_no_version(api: Api) -> None:
    made = await api.make("idle")

    patched = await api.do("PATCH", "/idle", {"description": ""})
    enabled = [await api.do("POST", "/idle/enable") for _ in range(2)]

    assert patched == made
    assert [flag["version"] for flag in enabled] == [2, 2]


async def test_nobody_overwrites_what_somebody_else_has_changed(api: Api) -> None:
    await api.make("shared")
    path, first, second = FLAGS + "/shared", {"If-Match": '"1"'}, {"If-Match": 'W/"2"'}

    answers = [
        await api.client.patch(path, json={"owner": "one"}, headers=first),
        await api.client.patch(path, json={"owner": "two"}, headers=first),
        await api.client.put(path, json={"type": "boolean"}, headers=first),
        await api.client.post(path + "/enable", headers=first),
        await api.client.post(path + "/rollout", json={"percentage": 5}, headers=first),
        await api.client.post(path + "/revert/1", headers=first),
        await api.client.delete(path, headers=first),
        await api.client.delete(path, headers={"If-Match": "2"}),
        # A gateway that compresses an answer makes its tag a weak one.
        await api.client.patch(path, json={"owner": "three"}, headers=second),
    ]

    assert [answer.status_code for answer in answers] == [200, *[412] * 6, 422, 200]
    assert answers[1].json()["code"] == "precondition_failed"
    assert (await api.get("/shared"))["owner"] == "three"


async def test_of_changes_at_once_none_is_lost(api: Api) -> None:
    await api.make("busy", owner="0")

    await asyncio.gather(
        *(api.do("PATCH", "/busy", {"tags": [f"t{n}"]}) for n in range(10)),
        *(api.do("POST", "/busy/rollout", {"percentage": n}) for n in range(10)),
        *(api.do("PATCH", "/busy", {"owner": f"o{n}"}) for n in range(10)),
    )

    found = await api.get("/busy")
    versions = [each["version"] for each in (await api.get("/busy/history"))["history"]]
    assert found["version"] == 31
    assert versions == list(range(31, 0, -1))
    assert found["tags"]
    assert found["owner"].startswith("o")
    assert found["environments"]["production"]["fallthrough"]["rollout"]["percentage"] < 10


async def test_a_copy_at_hand_is_not_sent_again(api: Api) -> None:
    await api.make("cached")

    one = await api.client.get(FLAGS + "/cached", headers={"If-None-Match": '"9", W/"1"'})
    listed = await api.client.get(FLAGS)
    again = await api.client.get(FLAGS, headers={"If-None-Match": listed.headers["etag"]})
    await api.do("POST", "/cached/enable")
    changed = await api.client.get(FLAGS, headers={"If-None-Match": listed.headers["etag"]})

    assert (one.status_code, one.content, one.headers["etag"]) == (304, b"", '"1"')
    assert (again.status_code, again.content, changed.status_code) == (304, b"", 200)


async def test_flags_are_found_by_what_they_are(api: Api) -> None:
    await api.make("find-a", kind="permission", owner="finders", tags=["x", "y"])
    await api.make("find-b", type="integer", variants={"one": 1}, default_variant="one",
                   off_variant="one", owner="finders", description="Some WORDS.")  # fmt: skip
    await api.make("find-c", owner="finders")
    await api.do("POST", "/find-c/archive")
    await api.do("POST", "/find-a/enable", {"environment": "staging"})

    async def keys(**params: Any) -> list[str]:
        return [flag["key"] for flag in (await api.get("", owner="finders", **params))["flags"]]

    assert await keys() == ["find-a", "find-b"]
    assert await keys(archived="any") == ["find-a", "find-b", "find-c"]
    assert await keys(archived="true") == ["find-c"]
    assert await keys(kind="permission") == ["find-a"]
    assert await keys(type="integer") == ["find-b"]
    assert await keys(tag="y") == ["find-a"]
    assert await keys(enabled_in="staging") == ["find-a"]
    assert await keys(disabled_in="staging", archived="any") == ["find-b", "find-c"]
    assert await keys(search="words") == ["find-b"]
    assert await keys(search="FIND-") == ["find-a", "find-b"]


async def test_pages_follow_each_other_without_a_gap(api: Api) -> None:
    for number in range(5):
        await api.make(f"page-{number}", owner="pages")

    found: list[str] = []
    after: dict[str, str] = {}
    while True:
        page = await api.get("", owner="pages", limit=2, **after)
        found += [flag["key"] for flag in page["flags"]]
        assert page["total"] == 5
        if page["next"] is None:
            break
        after = {"after": page["next"]}

    assert found == [f"page-{number}" for number in range(5)]


@pytest.mark.parametrize(
    ("params", "path"),
    [
        ({"colour": "red"}, "colour"),
        ({"kind": "useless"}, "kind"),
        ({"enabled_in": "nowhere"}, "enabled_in"),
        ({"archived": "yes"}, "archived"),
        ({"limit": "0"}, "limit"),
        ({"limit": "1001"}, "limit"),
        ({"search": ""}, "search"),
        ({"search": "a\0b"}, "search"),
    ],
)
async def test_a_wrong_parameter_is_refused_with_its_name(
    api: Api, params: dict[str, str], path: str
) -> None:
    answer = await api.client.get(FLAGS, params=params)

    assert (answer.status_code, answer.json()["path"]) == (422, path)


async def test_a_flag_cannot_be_made_twice_or_in_the_place_of_an_address(api: Api) -> None:
    await api.make("once")

    twice = await api.do("POST", "", {"key": "once", "type": "boolean"}, status=409)
    reserved = await api.do("POST", "", {"key": "stale", "type": "boolean"}, status=422)

    assert (twice["code"], reserved["path"]) == ("conflict", "key")


async def test_what_others_go_by_stays(api: Api) -> None:
    await api.make("needed")
    await api.make("needing", prerequisites=[{"flag": "needed", "variants": ["on"]}])

    deleted = await api.do("DELETE", "/needed", status=409)
    archived = await api.do("POST", "/needed/archive", status=409)
    circle = await api.do(
        "PATCH", "/needed", {"prerequisites": [{"flag": "needing", "variants": ["on"]}]}, status=422
    )

    assert deleted["used_by"] == archived["used_by"] == ["flag needing"]
    assert circle["path"].startswith("prerequisites")


async def test_an_archived_flag_is_evaluated_nowhere_until_it_is_restored(api: Api) -> None:
    await api.make("aside")
    await api.do("POST", "/aside/enable")

    archived = await api.do("POST", "/aside/archive")
    refused = await api.do("POST", "/aside/enable", status=409)
    unknown = await api.do("POST", "/aside/evaluate", {}, status=404)
    restored = await api.do("POST", "/aside/restore")

    assert (archived["archived"], restored["archived"]) == (True, False)
    assert (refused["code"], unknown["code"]) == ("conflict", "not_found")
    assert await api.gives("aside") == "on"


async def test_what_must_not_be_there_yet_is_not_replaced(api: Api) -> None:
    await api.make("taken")
    flag = {"type": "boolean", "description": "another"}

    for tag in ("*", '"1"'):
        headers = {"If-None-Match": tag}
        await api.do("PUT", "/taken", flag, headers=headers, status=412)
    changed = await api.do("PUT", "/taken", flag, headers={"If-None-Match": '"2"'})

    assert changed["description"] == "another"


@pytest.mark.parametrize("headers", [{}, {"If-None-Match": "*"}], ids=["whatever", "new only"])
async def test_what_is_put_is_made_unless_it_is_there(api: Api, headers: dict[str, str]) -> None:
    path = f"/put-{len(headers)}"
    flag = {"type": "boolean", "owner": "search"}

    made = await api.client.put(FLAGS + path, json=flag, headers=headers)
    again = await api.do("PUT", path, {**flag, "owner": "me"})

    assert (made.status_code, made.headers["location"], made.headers["etag"]) == (
        201, FLAGS + path, '"1"',
    )  # fmt: skip
    assert (made.json()["key"], made.json()["owner"]) == (path[1:], "search")
    assert (again["version"], again["created_at"]) == (2, made.json()["created_at"])


async def test_what_is_deleted_comes_back_with_its_next_version(api: Api) -> None:
    await api.make("comes-back")
    await api.do("DELETE", "/comes-back", status=204)

    back = await api.do("PUT", "/comes-back", {"type": "boolean"}, status=201)

    assert back["version"] == 3


@pytest.mark.parametrize("tag", ["*", '"1"'])
async def test_what_must_be_there_is_not_made(api: Api, tag: str) -> None:
    for path, body in (
        ("/nobody-has-it", {"type": "boolean"}),
        ("/segments/nobody", {}),
        ("/environments/nowhere", {}),
    ):
        refused = await api.do("PUT", path, body, headers={"If-Match": tag}, status=412)
        await api.do("GET", path, status=404)

        assert refused["code"] == "precondition_failed"


async def test_segments_and_environments_are_put_too(api: Api) -> None:
    segment = await api.do("PUT", "/segments/put", {"included": ["ada"]}, status=201)
    environment = await api.do("PUT", "/environments/put", {"approvals": 0}, status=201)

    assert (segment["key"], environment["name"]) == ("put", "put")


async def test_what_is_put_must_be_a_whole_flag_of_a_possible_key(api: Api) -> None:
    part = await api.do("PUT", "/partly", {"owner": "me"}, status=422)
    taken = await api.do("PUT", "/schedule", {"type": "boolean"}, status=422)

    assert (part["path"], taken["path"]) == ("type", "key")


async def test_of_many_who_make_the_same_one_does(api: Api) -> None:
    answers = await asyncio.gather(
        *(
            api.client.put(
                FLAGS + "/raced",
                json={"type": "boolean", "owner": f"o{number}"},
                headers={"If-None-Match": "*"},
            )
            for number in range(8)
        )
    )

    assert sorted(answer.status_code for answer in answers) == [201, *[412] * 7]


async def test_seconds_are_told_as_they_were_given(api: Api) -> None:
    await api.make("whole-steps")
    steps = [
        {"at": "2100-01-01T00:00:00Z", "enabled": True},
        {"after_seconds": 3600, "percentage": 5},
        {"after_seconds": 0.5, "percentage": 6},
    ]

    await api.do("PUT", "/whole-steps/schedule", {"environment": "production", "steps": steps})
    found = await api.client.get(FLAGS + "/whole-steps")

    assert b'"after_seconds":3600,' in found.content
    assert b'"after_seconds":0.5,' in found.content
