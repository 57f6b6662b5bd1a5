from __future__ import annotations

import re
from collections.abc import AsyncGenerator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import pytest_asyncio

from alerts_svc.app import Parts
from alerts_svc.notify.links import Links
from alerts_svc.ports import Lease
from alerts_svc.store.keys import Keys
from alerts_svc.timekeeper import Timekeeper
from tests.alerts_svc.api import Api, running_api
from tests.alerts_svc.messages import ITEM
from tests.alerts_svc.services import alerts_service, runs, send_events
from tests.fixtures.servers import RunningPostgres
from windsock_kit.postgres import open_pool

ALERTS, SILENCES, LINKS = "/api/alerts", "/api/alerts/silences", "/api/alerts/links"
BROWSER = {"Accept": "text/html,application/xhtml+xml"}


@pytest_asyncio.fixture(scope="module")
async def database(running_postgres: RunningPostgres) -> str:
    return await running_postgres.new_alerts_database("alerts_api_alerts")


@pytest_asyncio.fixture(scope="module")
async def api(database: str, metrics_url: str) -> AsyncGenerator[Api]:
    async with running_api(database, metrics_url) as found:
        yield found


@pytest_asyncio.fixture(scope="module")
async def links(api: Api, database: str) -> Links:
    """Make links as messages of this installation have them; the key is there once somebody acts."""
    async with open_pool(database, application_name="test", min_size=0, max_size=1) as pool:
        return Links("http://localhost", await Keys(pool).get("links"))


def token(made: str) -> str:
    return made.rpartition("/")[2]


def item(alert: dict[str, Any]) -> Any:
    return replace(ITEM, incident=alert["id"], fingerprint=alert["fingerprint"])


async def test_a_posted_alert_is_listed_grouped_and_explained(api: Api) -> None:
    alert = await api.firing("DiskFull", severity="critical", instance="db-1")
    listed = await api.get(ALERTS, severity="critical", rule="nothing")
    groups = await api.get(f"{ALERTS}/groups")
    shown = await api.get(f"{ALERTS}/{alert['fingerprint']}")

    assert (alert["state"], alert["severity"], alert["rule"]) == ("firing", "critical", None)
    assert alert["receivers"] == ["console"]
    assert listed == {"alerts": [], "total": 0}
    assert any(alert["id"] == each["id"] for group in groups["groups"] for each in group["alerts"])
    assert shown["incident"]["id"] == shown["alert"]["incident"]["id"] == alert["id"]


async def test_the_timeline_says_who_was_told(api: Api) -> None:
    alert = await api.firing("Explained", severity="warning")
    told = await api.until(
        lambda: api.get(f"{ALERTS}/{alert['id']}/timeline"),
        lambda body: body["verdict"] == "Told on console.",
    )

    kinds = [entry["kind"] for entry in told["entries"]]
    assert kinds[0] == "transition"
    assert {"decision", "message", "attempt"} <= set(kinds)
    assert [e["at"] for e in told["entries"]] == sorted(e["at"] for e in told["entries"])


async def test_an_incident_is_acknowledged_and_taken_back(api: Api) -> None:
    alert = await api.firing("InHand", severity="warning")
    path = f"{ALERTS}/{alert['id']}"

    taken = await api.client.post(f"{path}/acknowledge", json={"by": "Ada", "minutes": 5})
    shown = await api.until(
        lambda: api.get(path), lambda body: body["alert"]["incident"]["acknowledged"] is not None
    )
    back = await api.client.delete(f"{path}/acknowledge", params={"by": "Bea"})
    free = await api.until(
        lambda: api.get(path), lambda body: body["alert"]["incident"]["acknowledged"] is None
    )

    assert (taken.status_code, back.status_code) == (202, 202)
    assert shown["alert"]["incident"]["acknowledged"]["by"] == "Ada"
    assert free["alert"]["incident"]["sequence"] == alert["incident"]["sequence"] + 2


async def test_a_closed_incident_is_history(api: Api) -> None:
    alert = await api.firing("Gone", severity="warning", operation="closing")
    path = f"{ALERTS}/{alert['id']}"

    closed = await api.client.post(f"{path}/close", json={"by": "Ada", "comment": "removed"})
    past = await api.until(
        lambda: api.get(f"{ALERTS}/history", operation="closing"),
        lambda body: body["incidents"] and body["incidents"][0]["ended_at"] is not None,
    )
    again = await api.client.post(f"{path}/close", json={"by": "Ada"})

    assert closed.status_code == 202
    assert past["incidents"][0]["id"] == alert["id"]
    assert past["incidents"][0]["end_reason"] == "closed_by:Ada: removed"
    assert again.status_code == 409


async def test_history_is_read_page_by_page(api: Api) -> None:
    for number in range(5):
        await api.firing(f"Page{number}", severity="warning", operation="paging")

    asked: dict[str, Any] = {"operation": "paging", "limit": 2}
    first = await api.get(f"{ALERTS}/history", **asked)
    second = await api.get(f"{ALERTS}/history", before=first["next"], **asked)
    third = await api.get(f"{ALERTS}/history", before=second["next"], **asked)

    pages = [
        [each["labels"]["alertname"] for each in page["incidents"]]
        for page in (first, second, third)
    ]
    assert pages == [["Page4", "Page3"], ["Page2", "Page1"], ["Page0"]]
    assert third["next"] is None


async def test_a_silence_holds_back_and_shows_it(api: Api) -> None:
    made = await api.client.post(
        SILENCES, json={"matchers": ['alertname=~"Quiet.*"'], "minutes": 10, "created_by": "Ada"}
    )
    alert = await api.firing("QuietPlease", severity="warning")
    held = await api.until(
        lambda: api.get(f"{ALERTS}/{alert['id']}/timeline"),
        lambda body: "silence" in body["verdict"],
    )
    listed = await api.get(ALERTS, limit=1000)

    (found,) = (each for each in listed["alerts"] if each["id"] == alert["id"])
    assert made.status_code == 201
    assert found["silenced_by"] == [made.json()["id"]]
    assert "Ada" in held["verdict"]
    assert api.sent.taken == [
        message
        for message in api.sent.taken
        if all(each.labels["alertname"] != "QuietPlease" for each in message.items)
    ]


async def test_a_silence_is_read_changed_and_ended(api: Api) -> None:
    given = {"matchers": [{"name": "a", "value": "b"}], "minutes": 10, "created_by": "Ada"}
    made = (await api.client.post(SILENCES, json=given)).json()
    path = f"{SILENCES}/{made['id']}"

    longer = await api.client.put(path, json=given | {"minutes": 60, "comment": "longer"})
    ended = await api.client.delete(path)
    late = await api.client.put(path, json=given)

    assert longer.json()["comment"] == "longer"
    assert longer.json()["starts_at"] == made["starts_at"]
    assert (ended.status_code, ended.json()["state"]) == (200, "expired")
    assert late.status_code == 409
    assert made["id"] in [s["id"] for s in (await api.get(SILENCES, state="expired"))["silences"]]


NOW = datetime.now(UTC)


class Ahead(Timekeeper):
    """The clock of a replica that is an hour ahead and does not act."""

    def renewed(self, lease: Lease) -> None:
        pass

    def wall(self) -> float:
        return super().wall() + 3600


async def test_a_silence_begins_by_the_store_s_clock(
    running_postgres: RunningPostgres, metrics_url: str
) -> None:
    database = await running_postgres.new_alerts_database("alerts_api_ahead")
    given = {"matchers": ['operation="x"'], "minutes": 30, "created_by": "Ada"}

    async with alerts_service(database, metrics_url, Parts(timekeeper=Ahead)) as client:
        made = (await client.post(SILENCES, json=given)).json()

    begin = datetime.fromisoformat(made["starts_at"])
    assert abs((datetime.now(UTC) - begin).total_seconds()) < 60
    assert made["state"] == "active"


@pytest.mark.parametrize(
    ("changed", "path"),
    [
        ({"matchers": []}, "matchers"),
        ({"matchers": ['a=~".*"']}, "matchers"),
        ({"matchers": ["a"]}, "matchers[0]"),
        ({"matchers": ['a=~"["']}, "matchers[0]"),
        ({"matchers": [{"name": "", "value": "b"}]}, "matchers[0].name"),
        ({"minutes": 0}, "minutes"),
        ({"minutes": None}, "ends_at"),
        ({"ends_at": (NOW + timedelta(hours=1)).isoformat()}, "ends_at"),
        ({"minutes": None, "ends_at": (NOW - timedelta(hours=1)).isoformat()}, "ends_at"),
        ({"minutes": None, "ends_at": (NOW + timedelta(days=400)).isoformat()}, "ends_at"),
        ({"minutes": None, "ends_at": "2030-01-01T00:00:00"}, "ends_at"),
        ({"created_by": ""}, "created_by"),
        ({"id": "x"}, "id"),
    ],
    ids=str,
)
async def test_a_wrong_silence_is_refused(api: Api, changed: dict[str, Any], path: str) -> None:
    given = {"matchers": ["a=b"], "minutes": 10, "created_by": "Ada"} | changed

    answer = await api.client.post(SILENCES, json=given)

    assert (answer.status_code, answer.json()["path"]) == (422, path)


async def test_an_alert_has_the_annotations_of_its_rule_wherever_it_is_listed(
    api: Api, metrics_url: str
) -> None:
    condition = {
        "type": "threshold",
        "measure": "performance.duration_ms",
        "aggregation": "avg",
        "window_seconds": 60,
        "filters": {"operation": "annotated"},
        "comparison": ">",
        "warning": 1000,
    }
    said = {"summary": "Too slow"}
    rule = {"name": "Annotated", "group": "mine", "condition": condition, "annotations": said}
    assert (await api.client.post(f"{ALERTS}/rules", json=rule)).status_code == 201

    await send_events(metrics_url, runs("annotated", 2_000))
    listed = await api.until(
        lambda: api.get(ALERTS, rule="Annotated"),
        lambda body: body["alerts"] and body["alerts"][0]["incident"],
    )
    identity = listed["alerts"][0]["id"]
    past = await api.get(f"{ALERTS}/history", rule="Annotated")
    timeline = await api.get(f"{ALERTS}/{identity}/timeline")
    v1 = await api.get("/api/v1/alerts")
    v2 = await api.get("/api/v2/alerts", filter='alertname="Annotated"')

    found = [
        *listed["alerts"],
        *past["incidents"],
        timeline["incident"],
        *v2,
        *(each for each in v1["data"]["alerts"] if each["labels"]["alertname"] == "Annotated"),
    ]
    assert [each["annotations"] for each in found] == [said] * 5


async def test_a_link_does_nothing_until_its_button_is_pressed(api: Api, links: Links) -> None:
    alert = await api.firing("Linked", severity="warning", text="<script>alert(1)</script>")
    path = f"{LINKS}/{token(links.acknowledge(item(alert), at=NOW.timestamp()))}"

    page = await api.client.get(path, headers=BROWSER)
    before = await api.get(f"{ALERTS}/{alert['id']}")
    done = await api.client.post(path, data={"by": "Ada", "minutes": "15"}, headers=BROWSER)
    after = await api.until(
        lambda: api.get(f"{ALERTS}/{alert['id']}"),
        lambda body: body["alert"]["incident"]["acknowledged"] is not None,
    )

    assert page.status_code == 200
    assert before["alert"]["incident"]["acknowledged"] is None
    assert "<script" not in page.text
    assert "&lt;script&gt;" in page.text
    assert (done.status_code, "Acknowledged" in done.text) == (200, True)
    assert after["alert"]["incident"]["acknowledged"]["by"] == "Ada"


async def test_the_page_of_a_link_keeps_to_itself(api: Api, links: Links) -> None:
    alert = await api.firing("Alone", severity="warning")

    page = await api.client.get(f"{LINKS}/{token(links.silence(item(alert), at=NOW.timestamp()))}")

    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe-inline" not in policy
    # With no-referrer a browser would send "Origin: null" with the form, and be refused.
    assert page.headers["referrer-policy"] == "same-origin"
    assert '<meta name="referrer" content="same-origin">' in page.text
    assert page.headers["cache-control"] == "no-store"
    assert 'name="viewport"' in page.text
    assert re.findall(r"https?://", page.text) == []


async def test_a_silence_by_link_is_one_however_often_it_is_pressed(api: Api, links: Links) -> None:
    alert = await api.firing("Pressed", severity="warning", instance='a"b\\c')
    path = f"{LINKS}/{token(links.silence(item(alert), at=NOW.timestamp()))}"

    answers = [await api.client.post(path, data={"minutes": "60"}) for _ in range(2)]

    listed = await api.get(ALERTS, limit=1000)
    (found,) = (each for each in listed["alerts"] if each["id"] == alert["id"])
    assert [answer.status_code for answer in answers] == [200, 200]
    assert len(found["silenced_by"]) == 1


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_link_that_is_forged_or_too_old_says_so(
    api: Api, links: Links, method: str
) -> None:
    alert = await api.firing("Forged", severity="warning")
    forged = Links("http://localhost", b"another key").silence(item(alert), at=NOW.timestamp())
    old = links.silence(item(alert), at=NOW.timestamp() - 90_000)

    for made in (forged, old, "x"):
        path = f"{LINKS}/{token(made)}"
        page = await api.client.request(method, path, headers=BROWSER)
        problem = await api.client.request(method, path)
        assert (page.status_code, page.headers["content-type"]) == (404, "text/html; charset=utf-8")
        assert (problem.status_code, problem.json()["code"]) == (404, "link_refused")
    assert (await api.get(f"{ALERTS}/{alert['id']}"))["alert"]["incident"]["acknowledged"] is None


async def test_a_link_to_what_is_over_says_so(api: Api, links: Links) -> None:
    alert = await api.firing("Over", severity="warning")
    path = f"{LINKS}/{token(links.acknowledge(item(alert), at=NOW.timestamp()))}"
    await api.client.post(f"{ALERTS}/{alert['id']}/close", json={"by": "Ada"})
    await api.until(
        lambda: api.get(f"{ALERTS}/{alert['id']}"),
        lambda body: body["incident"]["ended_at"] is not None,
    )

    page = await api.client.get(path, headers=BROWSER)
    pressed = await api.client.post(path, headers=BROWSER)

    assert "This alert is over" in page.text
    assert "<form" not in page.text
    assert pressed.status_code == 409


async def test_deliveries_are_listed_shown_and_replayed(api: Api) -> None:
    alert = await api.firing("Delivered", severity="warning")
    listed = await api.until(
        lambda: api.get(f"{ALERTS}/deliveries", incident=alert["id"], status="sent"),
        lambda body: body["deliveries"],
    )
    (delivery,) = listed["deliveries"]
    path = f"{ALERTS}/deliveries/{delivery['id']}"

    again = await api.client.post(f"{path}/replay", json={"by": "Ada"})
    shown = await api.until(lambda: api.get(path), lambda body: body["status"] == "sent")

    assert delivery["message"]["told"] == [{"incident": alert["id"], "sequence": 1}]
    assert again.status_code == 202
    assert [each["outcome"] for each in shown["tries"]] == ["sent", "replay", "sent"]
    copies = [m.id for m in api.sent.taken if m.id == delivery["message_id"]]
    assert len(copies) == 2
    assert "Put in the queue again by Ada." in [
        entry["text"] for entry in (await api.get(f"{ALERTS}/{alert['id']}/timeline"))["entries"]
    ]


async def test_changes_are_noted_and_listed(api: Api) -> None:
    given = {"kind": "flag", "name": "prompt-style", "author": "Ada"}

    made = await api.client.post(f"{ALERTS}/changes", json=given)
    future = await api.client.post(
        f"{ALERTS}/changes", json=given | {"at": (NOW + timedelta(days=1)).isoformat()}
    )

    assert made.status_code == 201
    assert made.json() in (await api.get(f"{ALERTS}/changes"))["changes"]
    assert (future.status_code, future.json()["path"]) == (422, "at")


async def test_a_change_with_an_id_may_be_sent_again(api: Api) -> None:
    given = {"id": "api-1.4.2", "kind": "deployment", "name": "again"}

    first, second = [await api.client.post(f"{ALERTS}/changes", json=given) for _ in range(2)]
    odd = await api.client.post(f"{ALERTS}/changes", json=given | {"id": "no spaces"})

    assert (first.status_code, second.status_code) == (201, 200)
    assert first.json() == second.json()
    assert first.json()["id"] == "api-1.4.2"
    assert (odd.status_code, odd.json()["path"]) == (422, "id")
    listed = (await api.get(f"{ALERTS}/changes"))["changes"]
    assert [each["name"] for each in listed].count("again") == 1


async def test_the_summary_counts_and_says_who_acts(api: Api) -> None:
    await api.firing("Counted", severity="critical")

    found = await api.get(f"{ALERTS}/summary")

    assert found["counts"]["critical"] >= 1
    assert found["counts"]["open"] == found["counts"]["critical"] + found["counts"]["warning"]
    assert found["acting"]["this_process"] is True
    assert found["evaluation"]["impaired"] is False
    assert found["channels"] == {"usable": ["console"], "disabled": []}


@pytest.mark.parametrize(
    "path",
    [
        f"{ALERTS}/nothing",
        f"{ALERTS}/nothing/timeline",
        f"{SILENCES}/nothing",
        f"{ALERTS}/channels/nothing",
        f"{ALERTS}/deliveries/99999",
        f"{ALERTS}/deliveries/x",
        f"{ALERTS}/rules/nothing%00",
    ],
)
async def test_what_is_not_there_is_told(api: Api, path: str) -> None:
    assert (await api.client.get(path)).status_code == 404
