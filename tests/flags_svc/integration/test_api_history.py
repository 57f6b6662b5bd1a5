"""Who changed what, when and why; the way back; and changes that others must agree to."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

import pytest_asyncio

from tests.flags_svc.api import FLAGS, Api

ADA, GRACE, ALAN = ({"X-Windsock-Actor": name} for name in ("ada", "grace", "alan"))


async def test_history_tells_who_when_why_and_what_was_different(api: Api) -> None:
    await api.make("told")
    await api.do("POST", "/told/enable", headers={**ADA, "X-Windsock-Comment": "it is time"})
    await api.do("PATCH", "/told", {"description": "New."}, headers=GRACE)

    found = await api.get("/told/history")

    patched, enabled, made = found["history"]
    assert [patched["author"], patched["action"], patched["version"]] == ["grace", "patch", 3]
    assert patched["diff"] == [{"path": "description", "before": "", "after": "New."}]
    assert [enabled["author"], enabled["comment"], enabled["action"]] == [
        "ada", "it is time", "enable",
    ]  # fmt: skip
    assert enabled["diff"][0]["path"] == "environments.production"
    assert (made["action"], made["diff"][0]["path"], "before" in made["diff"][0]) == (
        "create", "", False,
    )  # fmt: skip
    assert made["revision"] < enabled["revision"] < patched["revision"]


async def test_history_comes_in_pages(api: Api) -> None:
    await api.make("long")
    for number in range(4):
        await api.do("PATCH", "/long", {"owner": f"o{number}"})

    first = await api.get("/long/history", limit=3)
    second = await api.get("/long/history", limit=3, before=first["next"])

    told = first["history"] + second["history"]
    assert [each["version"] for each in told] == [5, 4, 3, 2, 1]
    assert [each["diff"][0].get("before") for each in told[:4]] == ["o2", "o1", "o0", ""]
    assert second["next"] is None


async def test_a_flag_goes_back_to_what_it_was_as_a_new_version(api: Api) -> None:
    await api.make("back")
    then = await api.do("POST", "/back/rollout", {"percentage": 25})
    await api.do("POST", "/back/rollout", {"percentage": 75})

    reverted = await api.do("POST", "/back/revert/2")
    past = await api.get("/back/history/2")
    missing = await api.do("POST", "/back/revert/99", status=404)

    assert reverted["environments"] == then["environments"] == past["item"]["environments"]
    assert reverted["version"] == 4
    assert missing["code"] == "not_found"


async def test_a_deleted_flag_comes_back_with_its_history(api: Api) -> None:
    await api.make("phoenix", description="Alive.")
    await api.do("DELETE", "/phoenix", status=204)

    deleted = await api.get("/phoenix/history/2")
    refused = await api.do("POST", "/phoenix/revert/2", status=409)
    revived = await api.do("POST", "/phoenix/revert/1")
    actions = [each["action"] for each in (await api.get("/phoenix/history"))["history"]]

    assert (deleted["item"], refused["code"]) == (None, "conflict")
    assert (revived["description"], revived["version"]) == ("Alive.", 3)
    assert actions == ["revert", "delete", "create"]


async def test_everything_that_happened_stands_in_one_order(api: Api) -> None:
    await api.make("ordered")
    await api.do("POST", "/segments", {"key": "ordered"}, status=201)
    await api.do("PATCH", "/ordered", {"owner": "me"})

    page = await api.get("/history", limit=2)
    rest = await api.get("/history", limit=1, before=page["next"])

    told = [(each["kind"], each["action"]) for each in page["history"] + rest["history"]]
    assert told == [("flag", "patch"), ("segment", "create"), ("flag", "create")]
    assert page["history"][0]["diff"] == [{"path": "owner", "before": "", "after": "me"}]


async def test_segments_and_environments_have_histories_too(api: Api) -> None:
    await api.do("POST", "/segments", {"key": "history", "included": ["ada"]}, status=201)
    await api.do("PUT", "/segments/history", {"included": ["grace"]})
    await api.do("POST", "/environments", {"name": "history"}, status=201)

    read = await api.get("/segments/history")
    reverted = await api.do("POST", "/segments/history/revert/1")
    past = await api.get("/environments/history/history")

    assert (read["included"], reverted["included"]) == (["grace"], ["ada"])
    assert [each["key"] for each in past["history"]] == ["history"]


async def test_what_never_was_has_no_history(api: Api) -> None:
    answer = await api.do("GET", "/never/history", status=404)

    assert answer["code"] == "not_found"


@pytest_asyncio.fixture
async def protected(api: Api) -> AsyncGenerator[str]:
    """Give an environment whose changes two others must agree to."""
    await api.do("POST", "/environments", {"name": "vault", "approvals": 2}, status=201)
    yield "vault"
    await clear(api)


async def clear(api: Api) -> None:
    await api.do("PATCH", "/environments/vault", {"approvals": 0}, status=202, headers=ADA)
    found = await api.get("/change-requests", status="open")
    for request in found["change_requests"]:
        if request["changes"][0]["kind"] == "environment":
            for voter in (GRACE, ALAN):
                await api.do("POST", f"/change-requests/{request['id']}/approve", headers=voter)
        else:
            await api.do("POST", f"/change-requests/{request['id']}/reject", headers=ADA)
    for flag in (await api.get("", search="guarded-", archived="any"))["flags"]:
        await api.do("DELETE", f"/{flag['key']}", status=204)
    await api.do("DELETE", "/environments/vault", status=204)


async def asked(api: Api, key: str, path: str, body: Any, who: dict[str, str]) -> Any:
    """Return the request that a change of a protected environment became."""
    answer = await api.client.post(f"{FLAGS}/{key}/{path}", json=body, headers=who)
    assert answer.status_code == 202, answer.text
    assert answer.headers["location"] == f"{FLAGS}/change-requests/{answer.json()['id']}"
    return answer.json()


async def test_a_protected_environment_changes_when_enough_others_agree(
    api: Api, protected: str
) -> None:
    await api.make("guarded-a")
    request = await asked(api, "guarded-a", "enable", {"environment": protected}, ADA)
    path = f"/change-requests/{request['id']}/approve"

    own = await api.do("POST", path, status=409, headers=ADA)
    first = await api.do("POST", path, headers=GRACE)
    again = await api.do("POST", path, headers=GRACE)
    before = await api.get("/guarded-a")
    second = await api.do("POST", path, headers=ALAN)
    after = await api.get("/guarded-a")
    late = await api.do("POST", path, status=409, headers=ALAN)

    assert request["changes"][0]["diff"][0]["path"] == "environments.vault"
    assert (own["code"], late["code"]) == ("conflict", "conflict")
    assert (first["status"], first["approvals"], again["approvals"]) == ("open", 1, 1)
    assert before["environments"] == {}
    assert (second["status"], second["approvals"]) == ("applied", 2)
    # Who looks it up later sees what was decided.
    assert second["changes"][0]["diff"] == request["changes"][0]["diff"]
    assert (after["environments"]["vault"]["enabled"], after["updated_by"]) == (True, "ada")
    assert (await api.get("/guarded-a/history"))["history"][0]["request"] == request["id"]


async def test_to_kill_waits_for_nobody(api: Api, protected: str) -> None:
    await api.make("guarded-b")
    request = await asked(api, "guarded-b", "enable", {"environment": protected}, ADA)
    for voter in (GRACE, ALAN):
        await api.do("POST", f"/change-requests/{request['id']}/approve", headers=voter)

    killed = await api.do("POST", "/guarded-b/disable", {"environment": protected}, headers=ADA)

    assert killed["environments"]["vault"]["enabled"] is False


async def test_what_has_changed_meanwhile_is_not_overwritten(api: Api, protected: str) -> None:
    await api.make("guarded-c")
    request = await asked(api, "guarded-c", "enable", {"environment": protected}, ADA)
    path = f"/change-requests/{request['id']}"
    await api.do("PATCH", "/guarded-c", {"owner": "another"})

    told = await api.get(path)
    await api.do("POST", path + "/approve", headers=GRACE)
    stale = await api.do("POST", path + "/approve", status=409, headers=ALAN)

    assert (told["stale"], stale["code"]) == (True, "stale")
    assert (await api.get("/guarded-c"))["owner"] == "another"


async def test_a_request_is_refused_by_others_and_withdrawn_by_its_author(
    api: Api, protected: str
) -> None:
    await api.make("guarded-d")
    requests = [
        await asked(api, "guarded-d", "rollout", {"percentage": n, "environment": protected}, ADA)
        for n in (1, 2)
    ]

    one, two = (f"/change-requests/{request['id']}/reject" for request in requests)
    rejected = await api.do("POST", one, headers=GRACE)
    withdrawn = await api.do("POST", two, headers=ADA)
    listed = await api.get("/change-requests", limit=2)

    assert (rejected["status"], withdrawn["status"]) == ("rejected", "withdrawn")
    assert [each["status"] for each in listed["change_requests"]] == ["withdrawn", "rejected"]
    assert [each["changes"][0]["diff"] for each in listed["change_requests"]] == [
        each["changes"][0]["diff"] for each in reversed(requests)
    ]
    assert (await api.do("GET", "/change-requests/none", status=404))["code"] == "not_found"
