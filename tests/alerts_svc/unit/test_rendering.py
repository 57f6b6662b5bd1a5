"""Bodies of webhooks and the console's line and block."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import Any

import orjson
import pytest

from alerts_svc.domain.channel import Channel, Kind
from alerts_svc.notify import webhook
from alerts_svc.notify.console import MAX_LINE_BYTES, Console, json_line
from alerts_svc.notify.lines import addresses
from alerts_svc.notify.links import Links
from alerts_svc.notify.rendering import without_secrets
from alerts_svc.ports import Sent
from tests.alerts_svc.messages import INCIDENT, ITEM, MESSAGE, NOW, RESOLVED, TEST, message

LINKS = Links("https://windsock.example", b"key")
CONSOLE = Channel("console", Kind.CONSOLE)
ATTACK = "a\r\nb\x00\x1b[31m\ud800\u202e\u2028{{7*7}}%s$(id)<script>" + "x" * 1_000_000


def body(told: Any) -> Any:
    return orjson.loads(webhook.render(told, LINKS))


def test_webhook_body_is_what_receivers_of_alertmanager_read() -> None:
    other = replace(ITEM, labels={"alertname": "ErrorRate", "operation": "search"})

    found = body(message(ITEM, other))

    own = found.pop("windsock")
    first = found["alerts"][0]
    assert {key: value for key, value in found.items() if key != "alerts"} == {
        "version": "4",
        "groupKey": 'default:{alertname="ErrorRate"}',
        "truncatedAlerts": 0,
        "status": "firing",
        "receiver": "here",
        "groupLabels": {"alertname": "ErrorRate"},
        "commonLabels": {"alertname": "ErrorRate", "severity": "critical"},
        "commonAnnotations": ITEM.annotations,
        "externalURL": "https://windsock.example",
        "notification_reason": "first notification",
    }
    assert first == {
        "status": "firing",
        "labels": {"alertname": "ErrorRate", "operation": "chat", "severity": "critical"},
        "annotations": ITEM.annotations,
        "startsAt": "2026-09-21T14:10:00.000Z",
        "endsAt": "0001-01-01T00:00:00Z",
        "generatorURL": f"https://windsock.example/api/alerts/{INCIDENT}/timeline",
        "fingerprint": ITEM.fingerprint,
    }
    assert own["alerts"][0]["sequence"] == 1
    assert own["details"]["top"] == [{"name": "gpt-4o", "share": 0.81}]
    assert own["changes"][0]["name"] == "new-prompt"


def test_body_of_a_test_leads_nowhere_that_is_not_there() -> None:
    found = body(TEST)
    line = orjson.loads(json_line(TEST, LINKS))

    dashboard = LINKS.dashboard(TEST.items[0])
    assert found["windsock"]["alerts"][0]["links"] == {"dashboard": dashboard}
    assert found["alerts"][0]["generatorURL"] == dashboard
    assert "timeline" not in line["alerts"][0]


def test_webhook_body_of_what_is_over() -> None:
    found = body(RESOLVED)

    assert found["status"] == found["alerts"][0]["status"] == "resolved"
    assert found["alerts"][0]["endsAt"] == "2026-09-21T14:13:20.000Z"


def test_severity_that_a_sender_gave_is_kept() -> None:
    outside = replace(ITEM, labels={"alertname": "x", "severity": "page"})

    assert body(message(outside))["alerts"][0]["labels"]["severity"] == "page"


def test_webhook_body_is_cut_to_what_receivers_take() -> None:
    items = tuple(replace(ITEM, incident=f"{number:032}") for number in range(100))

    raw = webhook.render(message(*items, truncated=9900), LINKS)

    found = orjson.loads(raw)
    assert len(raw) <= webhook.MAX_BYTES
    assert len(found["alerts"]) + found["truncatedAlerts"] == 10_000
    assert len(found["alerts"]) == len(found["windsock"]["alerts"]) > 5


def test_webhook_body_of_one_alert_with_endless_texts_is_cut_too() -> None:
    many = {f"name{number}": ATTACK for number in range(64)}
    labels = {"a": ATTACK} | many | ITEM.labels
    item = replace(ITEM, labels=labels, annotations=many, actions=(ATTACK,) * 20)
    hostile = message(item, group_key=ATTACK, group_labels=many, notice=ATTACK)

    raw = webhook.render(hostile, LINKS)

    assert len(raw) <= webhook.MAX_BYTES
    assert orjson.loads(raw)["alerts"][0]["labels"]["alertname"] == "ErrorRate"
    assert b"\\u00" not in raw


def test_webhook_body_is_the_same_at_each_attempt() -> None:
    assert webhook.render(MESSAGE, LINKS) == webhook.render(MESSAGE, LINKS)


@pytest.mark.parametrize("told", [MESSAGE, RESOLVED, TEST], ids=["fired", "resolved", "test"])
async def test_console_writes_one_line_of_json_and_a_block(told: Any) -> None:
    out, err = io.StringIO(), io.StringIO()

    result = await Console(LINKS, out, err).send(CONSOLE, told, wall=NOW)

    assert result == Sent()
    assert out.getvalue().count("\n") == 1
    assert orjson.loads(out.getvalue())["message_id"] == told.id
    assert err.getvalue().startswith("====")


async def test_block_of_the_console_tells_all_there_is() -> None:
    err = io.StringIO()

    await Console(LINKS, io.StringIO(), err).send(CONSOLE, MESSAGE, wall=NOW)

    text = err.getvalue()
    assert "[CRITICAL] firing: Too many errors of chat" in text
    for line in (
        "operation    chat",
        "current      12.4 % (limit: above 10 %)",
        "window       last 5 min, 1,204 events",
        "since        2026-09-21 14:10:00 UTC (for 3 min 20 s)",
        "impact       about 1 in 8 requests of chat fails",
        "average      3,211 ms",
        "most of it   gpt-4o (81 %)",
        "cost         $1.20 an hour",
        "- Turn the newest flag off",
        "dashboard    https://windsock.example/api/metrics/dashboard?time_window_minutes=5&operation=chat",
        f"timeline     https://windsock.example/api/alerts/{INCIDENT}/timeline",
        "runbook      https://runbooks.example/e",
        "acknowledge  https://windsock.example/api/alerts/links/",
        "flag new-prompt by ana: on for everybody",
    ):
        assert line in text


@pytest.mark.parametrize(
    ("address", "told"),
    [("https://prometheus.example/graph?g0", True), ("javascript:alert(1)", False), ("", False)],
)
def test_alert_from_elsewhere_leads_to_where_it_is_from(address: str, told: bool) -> None:
    item = replace(ITEM, rule=None, generator_url=address)

    found = dict(addresses(item, message(item), LINKS))

    assert found.get("source") == (address if told else None)
    assert "dashboard" not in found


async def test_console_of_hostile_texts_stays_one_line() -> None:
    out, err = io.StringIO(), io.StringIO()
    item = replace(
        ITEM,
        labels={"alertname": ATTACK, ATTACK[:30]: ATTACK},
        annotations={"summary": ATTACK, "impact": ATTACK},
        actions=(ATTACK,) * 30,
    )
    hostile = message(item, item, group_key=ATTACK, notice=ATTACK, truncated=5)

    await Console(LINKS, out, err).send(CONSOLE, hostile, wall=NOW)

    assert len(out.getvalue().splitlines()) == 1
    assert len(out.getvalue().encode()) <= MAX_LINE_BYTES
    assert orjson.loads(out.getvalue())["truncated"] >= 5
    assert "\x1b" not in err.getvalue()
    assert "\u202e" not in err.getvalue()


def test_line_of_the_console_about_one_alert_with_many_labels_is_cut_too() -> None:
    labels = {f"{number:0100}": "é" * 2000 for number in range(64)} | ITEM.labels

    line = json_line(message(replace(ITEM, labels=labels)), LINKS)

    assert len(line) <= MAX_LINE_BYTES
    assert orjson.loads(line)["alerts"][0]["labels"]["operation"] == "chat"


async def test_console_goes_on_without_a_reader_and_with_a_narrow_terminal() -> None:
    class Gone(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    terminal = io.BytesIO()
    narrow = io.TextIOWrapper(terminal, encoding="ascii", write_through=True)
    item = replace(ITEM, annotations={"summary": "größer 😀"})

    assert await Console(LINKS, Gone(), narrow).send(CONSOLE, message(item), wall=NOW) == Sent()
    assert b"gr\\xf6\\xdfer" in terminal.getvalue()


async def test_console_tells_the_least_where_rendering_fails() -> None:
    out, err = io.StringIO(), io.StringIO()
    broken = message(replace(ITEM, actions=None))  # type: ignore[arg-type]

    assert await Console(LINKS, out, err).send(CONSOLE, broken, wall=NOW) == Sent()
    assert "CRITICAL firing: ErrorRate" in orjson.loads(out.getvalue())["summary"]
    assert "CRITICAL firing: ErrorRate" in err.getvalue()


def test_secrets_are_taken_out_of_what_is_told() -> None:
    settings = {
        "url": "https://hooks.example.com/a/T0K3N?x=1",
        "secret": "whsec_S3CR3T-S3CR3T",
        "headers": {"Authorization": "Bearer B34R3R-B34R3R"},
        "recipients": ["ana@example.com"],
        "port": 25,
    }
    channel = Channel("here", Kind.WEBHOOK, settings)
    said = (
        "GET https://hooks.example.com/a/T0K3N?x=1 a/T0K3N?x=1 S3CR3T-S3CR3T B34R3R-B34R3R\r\n"
        "ana@example.com"
    )

    assert without_secrets(said, channel) == "GET *** *** *** *** ana@example.com"
