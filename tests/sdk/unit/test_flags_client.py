import dataclasses
import enum
import logging
from collections.abc import Mapping
from typing import Any, NoReturn

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import windsock
from windsock.flags.client import FeatureFlags
from windsock.flags.definition import Flag, FlagSet
from windsock.flags.exposures import Exposures
from windsock.flags.reading import flag_of
from windsock.flags.reporting import Cell, Usage
from windsock.flags.source import CHANGED, MemorySource, Notice
from windsock.flags.versions import Version, version_of
from windsock.testing import Captured, capture, flags

# What is recorded must not wait for a service that there is not.
pytestmark = pytest.mark.usefixtures("captured")

STATIC = flag_of(
    {
        "key": "static",
        "type": "boolean",
        "variants": {"on": True, "off": False},
        "fallthrough": {"variant": "on"},
    },
    "",
)
CIRCLE = [{"flag": "wrong", "variants": ["a"]}]
SPLIT = {
    "type": "string",
    "variants": {"a": "one", "b": "other"},
    "fallthrough": {"split": {"a": 1, "b": 1}},
}


def test_flags_of_every_type_give_their_value() -> None:
    given = {"bool": True, "text": "flash", "whole": 3, "real": 0.7, "object": {"k": [1]}}

    with flags(given) as client:
        assert {key: client.value(key) for key in given} == given
        assert client.is_enabled("bool")
        assert client.variant("bool") == "on"
        assert client.variant("text") == "given"
        assert windsock.get_feature_flags() is client


def test_without_a_variant_the_default_is_the_answer() -> None:
    off = {"type": "boolean", "variants": {"on": True}, "enabled": False}

    with flags({"off": off}) as client:
        assert client.is_enabled("off", default=True)
        assert client.variant("off", default="none") == "none"
        assert client.value("off", default=7) == 7
        assert client.details("off", default=7) == windsock.Evaluation("off", None, 7, "DISABLED")


@pytest.mark.parametrize(
    ("value", "default", "answer"),
    [
        ("text", 0.7, 0.7),
        (1, 0.7, 1),
        (0.5, 1, 1),
        (True, 2, 2),
        (1, False, False),
        ("text", "", "text"),
        ({"a": 1}, {}, {"a": 1}),
        ("text", None, "text"),
        ("text", ("any", "thing"), "text"),
    ],
    ids=repr,
)
def test_a_value_has_the_type_of_the_default(
    value: object, default: object, answer: object
) -> None:
    with flags({"f": value}) as client:
        assert client.value("f", default=default) == answer
        explained = client.details("f", default=default)

    assert explained.value == answer
    assert (explained.error_code == "TYPE_MISMATCH") == (answer != value)


def test_only_a_boolean_can_be_enabled() -> None:
    with flags({"f": "true"}) as client:
        assert client.is_enabled("f") is False
        assert client.is_enabled("f", default=True) is True


def test_an_object_can_be_changed_without_changing_the_flag() -> None:
    with flags({"f": {"k": [1]}}) as client:
        client.value("f")["k"].append(2)

        assert client.value("f") == {"k": [1]}


def test_an_unknown_flag_gives_the_default_and_is_reported(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with flags({}) as client:
        assert client.value("new_flga", default="d") == "d"
        explained = client.details("new_flga")

    assert (explained.reason, explained.error_code) == ("ERROR", "FLAG_NOT_FOUND")
    assert "new_flga" in caplog.text


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"flags_source": "off"}, "switched off"),
        ({"enabled": False}, "switched off"),
        ({"flags_source": "file"}, "WINDSOCK_FLAGS_FILE"),
        ({"flags_source": "redis"}, "WINDSOCK_FLAGS_REDIS_URL"),
    ],
)
def test_without_a_source_everything_is_the_default(
    changes: dict[str, object], message: str
) -> None:
    client = FeatureFlags(windsock.get_metrics_collector())
    client.configure(windsock.Settings().changed(changes))

    assert client.is_enabled("f", default=True)
    assert client.details("f").error_code == "PROVIDER_NOT_READY"
    assert message in str(client.details("f").error_message)
    assert client.explain("f", default=7).evaluation == client.details("f", default=7)
    assert not client.ready(0)
    assert message in client.status().problem


class User(enum.Enum):
    ONE = "u-1"


def test_the_user_is_the_argument_else_of_the_context_else_ambient() -> None:
    with flags({"f": SPLIT}) as client:
        by_user = {f"u-{n}": client.variant("f", f"u-{n}") for n in range(20)}
        assert set(by_user.values()) == {"a", "b"}
        one = next(user for user, variant in by_user.items() if variant == "a")
        other = next(user for user, variant in by_user.items() if variant == "b")

        with windsock.context(user_id=one):
            assert client.variant("f") == "a"
            assert client.variant("f", context={"targetingKey": other}) == "b"
            assert client.variant("f", one, {"targetingKey": other}) == "a"
        assert client.variant("f", User.ONE) == by_user["u-1"]
        assert client.variant("f", default="none") == "none"
        assert client.details("f", "").error_code == "TARGETING_KEY_MISSING"


def test_a_split_is_recorded_once_for_each_user_and_variant(captured: Captured) -> None:
    with flags({"f": SPLIT, "static": True}) as client:
        for _ in range(3):
            for user in ("u-1", "u-2"):
                client.value("f", user)
            client.is_enabled("static", "u-1")
            client.details("f", "u-1")
            client.explain("f", "u-3")
            client.resolve("f", "u-3")

    assert [event["type"] for event in captured.events] == ["exposure", "exposure"]
    assert [event["targeting_key"] for event in captured.events] == ["u-1", "u-2"]
    assert {event["flag_key"] for event in captured.events} == {"f"}
    assert {event["variant"] for event in captured.events} <= {"a", "b"}


def test_a_value_that_was_not_used_is_no_exposure(captured: Captured) -> None:
    with flags({"f": SPLIT}) as client:
        client.value("f", "u-1", default=7)
        client.is_enabled("f", "u-1")

    assert captured.events == []


def test_exposures_can_be_switched_off(captured: Captured) -> None:
    client = FeatureFlags(windsock.get_metrics_collector())
    with flags({"f": SPLIT}) as given:
        client.configure(windsock.Settings(record_exposures=False, flags_source="off"))
        client.install(MemorySource(given.version))

        assert client.variant("f", "u-1") in {"a", "b"}

    assert captured.events == []


def test_a_new_version_of_the_flags_records_its_users_again(captured: Captured) -> None:
    for _ in range(2):
        with flags({"f": SPLIT}) as client:
            client.variant("f", "u-1")

    assert len(captured.events) == 2


def test_the_exposures_seen_last_are_remembered() -> None:
    exposures = Exposures(limit=10)
    cell = Cell("f", "a")
    assert exposures.is_first(("forgotten", cell))

    for number in range(10):
        assert exposures.is_first((f"u-{number}", cell))
        assert exposures.is_first(("kept", cell)) == (number == 0)

    assert exposures.is_first(("forgotten", cell))
    assert exposures.is_first(("kept", Cell("f", "a")))
    assert len(exposures.recent) < 10


def version(*flags: Flag) -> Version:
    return version_of(FlagSet({flag.key: flag for flag in flags}))


def test_only_a_changed_flag_records_its_users_again(captured: Captured) -> None:
    one = flag_of({**SPLIT, "key": "one"}, "")
    other = flag_of({**SPLIT, "key": "other"}, "")
    first = version(one, other)
    source = MemorySource(first)
    client = FeatureFlags(windsock.get_metrics_collector())
    client.install(source)
    client.variant("one", "u-1")
    client.variant("other", "u-1")

    changed = dataclasses.replace(other, salt="new")
    source.version = version_of(FlagSet({"one": one, "other": changed}), first)
    source.told(Notice(CHANGED, first))
    client.variant("one", "u-1")
    client.variant("other", "u-1")

    assert [event["flag_key"] for event in captured.events] == ["one", "other", "other"]


def test_an_exposure_can_be_recorded_later(captured: Captured) -> None:
    with flags({"f": SPLIT, "static": True}) as client:
        for key in ("f", "static", "f"):
            client.expose(client.resolve(key, "u-1"), "u-1")
        client.expose(client.resolve("gone", "u-1"), "u-1")

    assert [event["targeting_key"] for event in captured.events] == ["u-1"]


def test_every_way_to_ask_counts() -> None:
    usage = Usage()
    source = MemorySource(version(flag_of({**SPLIT, "key": "f"}, ""), STATIC))
    source.usage = usage
    client = FeatureFlags(windsock.get_metrics_collector())
    client.install(source)

    for _ in range(3):
        client.is_enabled("static")
        client.value("static")
        client.variant("static")
        client.details("static")
        client.value("f")
        client.explain("static")

    counted = {(each["flag"], each["variant"]): each["count"] for each in usage.take()}
    assert counted == {("static", "on"): 12, ("f", None): 3}
    assert usage.take() == []
    client.is_enabled("static")
    assert usage.take() == [{"flag": "static", "variant": "on", "count": 1}]


def test_what_a_report_has_no_room_for_is_in_the_next() -> None:
    usage = Usage()
    for number in range(5):
        cell = Cell(f"f-{number}", None)
        cell.count = 2
        cell.retired = True
        usage.count_in(cell)

    told = [usage.take(limit=2) for _ in range(4)]

    assert [len(each) for each in told] == [2, 2, 1, 0]
    assert len({each["flag"] for report in told for each in report}) == 5


def test_counts_that_nobody_takes_are_bounded() -> None:
    usage = Usage(most=3)
    for number in range(5):
        cell = Cell(f"f{number}", "on")
        usage.count_in(cell)
        cell.count += 1
        cell.retired = True

    assert [each["flag"] for each in usage.take()] == ["f2", "f3", "f4"]


def test_a_source_that_was_replaced_meanwhile_changes_nothing() -> None:
    client = FeatureFlags(windsock.get_metrics_collector())
    other = MemorySource(version(STATIC))
    replacing: list[bool] = []

    class Replaced(MemorySource):
        def __getattribute__(self, name: str) -> Any:
            if name == "version" and replacing:
                replacing.clear()
                client.install(other)
            return super().__getattribute__(name)

    former = Replaced(version())
    client.install(former)
    replacing.append(True)
    former.told(Notice(CHANGED))

    assert client.is_enabled("static")


def test_a_filter_of_the_log_that_raises_does_not_reach_the_caller() -> None:
    def refuse(_: object) -> NoReturn:
        raise ValueError("no")

    log = logging.getLogger("windsock")
    log.addFilter(refuse)
    try:
        with flags({}) as client:
            assert client.is_enabled("gone", default=True)
    finally:
        log.removeFilter(refuse)


@pytest.mark.parametrize(("allowed", "taken"), [(0.0, 0.0), (0.2, 0.2), (60.0, 0.5)])
def test_the_end_of_the_process_takes_no_longer_than_it_may(allowed: float, taken: float) -> None:
    waited: list[float] = []

    class Slow(MemorySource):
        def close(self, timeout: float) -> bool:
            waited.append(timeout)
            return False

    client = FeatureFlags(windsock.get_metrics_collector())
    client.configure(windsock.Settings(flags_source="off", exit_timeout_seconds=allowed))
    client.install(Slow(version()))

    client.close_at_exit()

    assert waited == [taken]


def test_listeners_come_and_go_by_themselves() -> None:
    client = FeatureFlags(windsock.get_metrics_collector())
    heard: list[Notice] = []
    first, second = client.subscribe(heard.append), client.subscribe(heard.append)
    source = MemorySource(version_of(FlagSet({})))
    client.install(source)

    source.told(Notice(CHANGED))
    first()
    first()
    source.told(Notice(CHANGED))
    second()
    source.told(Notice(CHANGED))

    assert len(heard) == 3


def test_listeners_hear_of_changes_and_may_fail(caplog: pytest.LogCaptureFixture) -> None:
    source = MemorySource(version())
    client = FeatureFlags(windsock.get_metrics_collector())
    client.install(source)
    heard: list[Notice] = []

    def failing(_: Notice) -> NoReturn:
        raise RuntimeError

    client.subscribe(failing)
    unsubscribe = client.subscribe(heard.append)
    before, source.version = source.version, version(STATIC)
    source.told(Notice(CHANGED, before))
    unsubscribe()
    source.told(Notice(CHANGED, before))

    assert client.is_enabled("static")
    assert [notice.kind for notice in heard] == ["changed"]
    assert "a listener for flags failed" in caplog.text


def test_what_cannot_be_used_is_an_error_of_that_flag_alone() -> None:
    wrong = flag_of({**SPLIT, "key": "wrong", "prerequisites": CIRCLE}, "")
    with flags({}) as client:
        client.install(MemorySource(version(wrong, STATIC)))

        assert client.details("wrong", "u", default="d").error_code == "PARSE_ERROR"
        assert client.variant("wrong", "u", default="d") == "d"
        assert client.is_enabled("static")


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ({"f": None}, "f: None can be no value"),
        ({"f": {"type": "boolean", "variants": {"on": 1}}}, "f.variants.on: must be of type"),
        ({"f": {"variants": {"on": 1}}}, "f.type: is missing"),
        ({"": True}, "key: must be a text"),
    ],
)
def test_flags_for_a_test_must_be_right(given: dict[str, object], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint), flags(given):
        pass


class Hostile:
    def __str__(self) -> NoReturn:
        raise RuntimeError

    def __hash__(self) -> NoReturn:
        raise LookupError

    def __eq__(self, other: object) -> NoReturn:
        raise LookupError


class HostileMapping(Mapping[str, object]):
    def __getitem__(self, key: str) -> NoReturn:
        raise ZeroDivisionError

    def __iter__(self) -> NoReturn:
        raise RuntimeError

    def __len__(self) -> int:
        return 1


anything = st.one_of(
    st.none(),
    st.text(alphabet=st.characters(codec=None)),
    st.integers(),
    st.builds(Hostile),
    st.builds(HostileMapping),
    st.lists(st.none()),
    st.sampled_from(["f", "static"]),
)


@settings(max_examples=200, deadline=None)
@given(
    method=st.sampled_from(["is_enabled", "variant", "value", "details", "explain", "resolve"]),
    arguments=st.lists(anything, min_size=1, max_size=4),
)
def test_nothing_that_is_passed_raises(method: str, arguments: list[Any]) -> None:
    with capture(), flags({"f": SPLIT, "static": True}) as client:
        getattr(client, method)(*arguments)
