"""What senders post to Alertmanager's API, good and bad."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
import yaml

from alerts_svc.domain.configuration import Configuration, Inhibition, Route
from alerts_svc.domain.matcher import Matcher
from alerts_svc.domain.silence import Silence
from alerts_svc.domain.world import Posted
from alerts_svc.wire import alertmanager, alertmanager_configuration
from alerts_svc.wire.times import instant
from windsock_kit.errors import BadRequestError, InvalidError

NOW = 1_800_000_000.0  # 2027-01-15T08:00:00Z


def parsed(*alerts: object) -> alertmanager.Batch:
    return alertmanager.parse_alerts(orjson.dumps(alerts), wall=NOW)


def one(**alert: object) -> Posted:
    batch = parsed({"labels": {"alertname": "A"}} | alert)
    assert batch.refused == ()
    return batch.posted[0]


def test_alert_without_times_begins_now_and_has_no_end() -> None:
    assert one() == Posted({"alertname": "A"}, {}, NOW, None, "", NOW)


@pytest.mark.parametrize("said", [None, "0001-01-01T00:00:00Z", "0001-01-01T00:00:00.000Z"])
def test_zero_time_of_go_says_nothing(said: str | None) -> None:
    found = one(startsAt=said, endsAt=said)

    assert (found.starts_at, found.ends_at) == (NOW, None)


def test_times_are_read_with_their_zone_and_to_the_microsecond() -> None:
    found = one(startsAt="2027-01-15T08:59:50.123456789+01:00", endsAt="2027-01-15T08:05:00Z")

    assert found.starts_at == pytest.approx(NOW - 10 + 0.123457, abs=1e-6)
    assert found.ends_at == NOW + 300


def test_times_that_mean_never_can_be_told() -> None:
    never = one(startsAt="9999-12-31T23:59:59.999999-11:00", endsAt="9999-12-31T23:59:59.999999Z")

    assert never.starts_at == never.ends_at
    assert instant(never.ends_at) == "9998-12-31T00:00:00Z"


def test_alert_with_an_end_alone_began_no_later_than_that() -> None:
    assert one(endsAt="2027-01-15T07:00:00Z").starts_at == NOW - 3_600
    assert one(endsAt="2027-01-15T09:00:00Z").starts_at == NOW


def test_labels_without_a_value_are_left_out() -> None:
    assert one(labels={"alertname": "A", "job": ""}).labels == {"alertname": "A"}


def test_what_is_too_long_is_cut_and_what_the_store_cannot_keep_replaced() -> None:
    found = one(
        labels={"alertname": "A\0", "a": "x" * 2_000 + "1"},
        annotations={"summary": "é" * 10_000},
        generatorURL="http://p/" + "x" * 10_000,
    )
    other = one(labels={"alertname": "A\0", "a": "x" * 2_000 + "2"})

    assert found.labels["alertname"] == "A\N{REPLACEMENT CHARACTER}"
    assert len(found.labels["a"]) == alertmanager.MAX_LABEL_VALUE
    assert found.labels["a"] != other.labels["a"]
    assert found.annotations["summary"] == "é" * 3_999 + "…"
    assert len(found.generator_url) == alertmanager.MAX_URL


@pytest.mark.parametrize(
    ("alert", "told"),
    [
        ({}, "[0].labels: "),
        ({"labels": {}}, "[0].labels: at least one label"),
        ({"labels": {"a": ""}}, "[0].labels: at least one label"),
        ({"labels": {"a": 1}}, "[0].labels[...]: Expected `str`"),
        ({"labels": {"a-b": "1"}}, "[0].labels: 'a-b' is no name of a label"),
        ({"labels": {f"l{n}": "1" for n in range(65)}}, "[0].labels: there are 65"),
        ({"labels": {"a": "1"}, "annotations": {"a b": "1"}}, "[0].annotations: 'a b'"),
        ({"labels": {"a": "1"}, "startsAt": "yesterday"}, "[0].startsAt: Invalid RFC3339"),
        ({"labels": {"a": "1"}, "startsAt": "2027-01-15T08:00:00"}, "[0].startsAt: Expected"),
        ({"labels": {"a": "1"}, "startsAt": "1969-12-31T00:00:00Z"}, "[0].startsAt: it is before"),
        (
            {
                "labels": {"a": "1"},
                "startsAt": "2027-01-15T08:00:01Z",
                "endsAt": "2027-01-15T08:00:00Z",
            },
            "[0].endsAt: it is before startsAt",
        ),
        (7, "[0]: Expected `object`"),
    ],
    ids=str,
)
def test_bad_alert_is_told_by_its_place(alert: object, told: str) -> None:
    batch = parsed(alert)

    assert batch.posted == ()
    assert batch.refused[0].startswith(told)
    assert batch.complaint().startswith("1 of 1 alerts are refused, nothing is stored: [0]")


def test_good_alerts_of_a_batch_are_taken_beside_bad_ones() -> None:
    batch = parsed({"labels": {"a": "1"}}, {"labels": {}}, {"labels": {"a": "2"}})

    assert [posted.labels for posted in batch.posted] == [{"a": "1"}, {"a": "2"}]
    assert batch.complaint().startswith("1 of 3 alerts are refused, the others are stored: [1].")


def test_only_some_of_many_refusals_are_told() -> None:
    complaint = parsed(*[{"labels": {}}] * 1_000).complaint()

    assert complaint.endswith("; and 980 more")
    assert len(complaint) < 5_000


@pytest.mark.parametrize("body", [b"", b"{", b"[1", b"[" * 100_000])
def test_what_is_no_json_is_malformed(body: bytes) -> None:
    with pytest.raises(BadRequestError):
        alertmanager.parse_alerts(body, wall=NOW)


def test_batch_is_bounded() -> None:
    with pytest.raises(InvalidError, match="10000"):
        parsed(*[{"labels": {"a": "1"}}] * 10_001)


@pytest.mark.parametrize(
    ("text", "read"),
    [
        (b"\xff.", "\ufffd."),
        (b"\\ud800.", "\ufffd."),
        (b"\\uDFFF\\ud83d\\ude00", "\ufffd\N{GRINNING FACE}"),
        (b"\\\\ud800", "\\ud800"),
    ],
    ids=ascii,
)
def test_text_that_is_none_is_mended(text: bytes, read: str) -> None:
    body = b'[{"labels":{"alertname":"' + text + b'"}}]'

    batch = alertmanager.parse_alerts(body, wall=NOW)

    assert batch.posted[0].labels == {"alertname": read}


SILENCE: dict[str, Any] = {
    "matchers": [{"name": "alertname", "value": "A.*", "isRegex": True}],
    "startsAt": "2027-01-15T08:00:00Z",
    "endsAt": "2027-01-15T09:00:00Z",
    "createdBy": "ann",
    "comment": "at work",
}


def test_silence_is_read_as_amtool_writes_it() -> None:
    posted = alertmanager.parse_silence(orjson.dumps(SILENCE | {"id": ""}), wall=NOW)

    made = posted.anew(NOW + 1)

    assert posted.id is None
    assert made.id != posted.anew(NOW + 1).id
    assert made == Silence(
        made.id,
        (Matcher("alertname", "A.*", is_regex=True),),
        NOW + 1,
        NOW + 3_600,
        "ann",
        "at work",
    )


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"endsAt": "2027-01-15T08:00:00Z"}, "endsAt"),
        (
            {"startsAt": "2027-01-15T06:00:00Z", "endsAt": "2027-01-15T07:00:00Z"},
            "endsAt",
        ),
        ({"matchers": []}, "matchers"),
        ({"matchers": [{"name": "a", "value": ""}]}, "matchers"),
        ({"matchers": [{"name": "a", "value": "x", "isEqual": False}]}, "matchers"),
        ({"matchers": [{"name": "", "value": "x"}]}, "matchers[0]"),
        ({"matchers": [{"name": "a", "value": "(", "isRegex": True}]}, "matchers[0]"),
        ({"matchers": [{"name": "a", "value": 1}]}, "matchers[0].value"),
        ({"comment": None}, "comment"),
    ],
    ids=str,
)
def test_bad_silence_is_told_by_its_place(change: dict[str, object], path: str) -> None:
    with pytest.raises(InvalidError) as caught:
        alertmanager.parse_silence(orjson.dumps(SILENCE | change), wall=NOW)

    assert caught.value.path == path


def test_silences_are_listed_with_those_in_force_first() -> None:
    def silence(name: str, begin: float, end: float) -> Silence:
        return Silence(name, (Matcher("a", "b"),), NOW + begin, NOW + end, "ann", "")

    given = [
        silence("over", -20, -10),
        silence("over later", -20, -5),
        silence("later", 10, 20),
        silence("long", -5, 60),
        silence("short", -5, 0.5),
    ]

    ordered = alertmanager.sorted_silences(given, NOW)

    assert [each.id for each in ordered] == ["short", "long", "later", "over later", "over"]
    states = [alertmanager.silence(each, wall=NOW)["status"]["state"] for each in ordered]
    assert states == ["active", "active", "pending", "expired", "expired"]


def test_filters_are_matchers_with_or_without_braces() -> None:
    found = alertmanager.parse_filters(['{a="1",b!="2"}', "c=~x"])

    assert [str(matcher) for matcher in found] == ['a="1"', 'b!="2"', 'c=~"x"']
    with pytest.raises(InvalidError) as caught:
        alertmanager.parse_filters(["{{"])
    assert caught.value.path == "filter"


def test_configuration_is_told_in_alertmanager_s_form_without_settings() -> None:
    configuration = Configuration(
        group_by=("alertname", "operation"),
        group_interval_seconds=0.5,
        repeat_seconds=0.0,
        routes=(
            Route("money", (Matcher("group", "cost"),), ("mail",), ("alertname",), proceed=True),
            Route("rest"),
        ),
        inhibitions=(
            Inhibition(
                "down",
                (Matcher("alertname", "Down"),),
                (Matcher("severity", "warning"),),
                ("operation",),
            ),
        ),
    )

    written = alertmanager_configuration.original(configuration, ["mail", "console"])

    assert yaml.safe_load(written) == {
        "route": {
            "receiver": "console, mail",
            "group_by": ["alertname", "operation"],
            "group_wait": "0s",
            "group_interval": "500ms",
            "routes": [
                {
                    "receiver": "mail",
                    "matchers": ['group="cost"'],
                    "group_by": ["alertname"],
                    "continue": True,
                },
                {"receiver": "console, mail", "matchers": []},
            ],
        },
        "inhibit_rules": [
            {
                "source_matchers": ['alertname="Down"'],
                "target_matchers": ['severity="warning"'],
                "equal": ["operation"],
            }
        ],
        "receivers": [{"name": "console, mail"}, {"name": "mail"}],
    }
