"""Server-sent events, and the versions of the flags that they make."""

import json
from collections.abc import Mapping
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.sdk.flag_service import switch
from windsock.flags.reading import InvalidFlagsError
from windsock.flags.sse import Event, EventParser, TooLongError
from windsock.flags.versions import (
    NoFlags,
    OutOfStepError,
    Version,
    after_change,
    changed_keys,
    from_snapshot,
)


def fed(*pieces: bytes, limit: int = 1_000) -> list[Event]:
    parser = EventParser(limit)
    return [event for piece in pieces for event in parser.feed(piece)]


@pytest.mark.parametrize(
    ("text", "events"),
    [
        (b"data: a\n\n", [Event("message", b"a")]),
        (b"event: change\nid: e-1\ndata: a\n\n", [Event("change", b"a", "e-1")]),
        (b"event:change\r\ndata:a\r\ndata:  b\r\n\r\n", [Event("change", b"a\n b")]),
        (b"data: a\r\rdata: b\r\r", [Event("message", b"a"), Event("message", b"b")]),
        (b"\xef\xbb\xbfdata: a\n\n", [Event("message", b"a")]),
        (b": comment\nretry: 5\nother\ndata\n\n", [Event("message", b"")]),
        (b"event: change\nid: e-1\n\ndata: a\n\n", [Event("message", b"a")]),
        (b"data: a\n", []),
        (b"\n\n\n", []),
    ],
)
def test_events_are_read_however_they_are_cut(text: bytes, events: list[Event]) -> None:
    assert fed(text) == events
    assert fed(*(text[index : index + 1] for index in range(len(text)))) == events
    for cut in range(len(text)):
        assert fed(text[:cut], text[cut:]) == events


@pytest.mark.parametrize(
    "pieces",
    [
        [b"x" * 1_001],
        [b"data: " + b"x" * 600, b"x" * 600],
        [b"data: " + b"x" * 600 + b"\n", b"data: " + b"x" * 600 + b"\n"],
        [b"data: xxxxxx\n" * 100],
    ],
)
def test_an_event_without_end_is_given_up(pieces: list[bytes]) -> None:
    with pytest.raises(TooLongError):
        fed(*pieces)


def test_many_events_together_may_be_longer_than_one() -> None:
    assert len(fed(b"data: 123456789\n\n" * 1_000)) == 1_000


@given(st.lists(st.binary(max_size=200), max_size=20))
def test_any_bytes_can_be_fed(pieces: list[bytes]) -> None:
    assert isinstance(fed(*pieces, limit=10_000), list)


def snapshot(*flags: Mapping[str, Any], revision: int = 1, **more: Any) -> dict[str, Any]:
    return {"epoch": "e", "revision": revision, "flags": list(flags), "segments": [], **more}


def changed(revision: int, *flags: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    return snapshot(*flags, revision=revision) | {"previous": revision - 1, **more}


def test_a_change_replaces_and_removes() -> None:
    before = from_snapshot(snapshot(switch("a"), switch("b"), switch("c")))

    after = after_change(before, changed(2, switch("a", on=False), switch("d"), removed=["b"]))

    assert sorted(after.flags) == ["a", "c", "d"]
    assert after.id == "e-2"
    assert after.flags["c"] is before.flags["c"]
    assert changed_keys(before, after) == ["a", "b", "d"]
    assert changed_keys(NoFlags("", ""), after) == ["a", "c", "d"]


def ruled(value: object) -> dict[str, Any]:
    when = {"attribute": "a", "operator": "equals", "value": value}
    return switch("f", rules=[{"when": when, "serve": {"variant": "off"}}])


def an_object(value: object) -> dict[str, Any]:
    return {"key": "f", "type": "object", "variants": {"on": {"x": [value]}}}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (ruled(True), ruled(1)),
        (an_object(True), an_object(1)),
        (an_object(2), an_object(2.0)),
        (
            switch("f", fallthrough={"split": {"on": 1, "off": 1}}),
            switch("f", fallthrough={"split": {"off": 1, "on": 1}}),
        ),
    ],
    ids=["truth of a condition", "truth in a value", "number in a value", "order of a split"],
)
def test_what_python_takes_for_equal_may_be_a_change(
    one: dict[str, Any], other: dict[str, Any]
) -> None:
    before = from_snapshot(snapshot(one))

    after = from_snapshot(snapshot(other, revision=2), before)
    again = from_snapshot(snapshot(other, revision=3), after)

    assert changed_keys(before, after) == ["f"]
    assert changed_keys(after, again) == []


def test_a_segment_changes_the_flags_that_name_it() -> None:
    rule = {"when": {"segment": "s"}, "serve": {"variant": "off"}}
    segment = {"key": "s", "included": ["u-1"]}
    before = from_snapshot(snapshot(switch("a", rules=[rule]), switch("b"), segments=[segment]))

    after = after_change(before, changed(2, segments=[{"key": "s", "included": ["u-2"]}]))
    without = after_change(after, changed(3, removed_segments=["s"]))

    assert changed_keys(before, after) == ["a"]
    assert before.flags["a"].evaluate("u-1").variant == "off"
    assert after.flags["a"].evaluate("u-1").variant == "on"
    assert without.problem_of("a") is not None


def test_a_snapshot_keeps_what_is_the_same() -> None:
    before = from_snapshot(snapshot(switch("a"), switch("b")))

    after = from_snapshot(snapshot(switch("a"), switch("b", on=False), revision=9), before)

    assert changed_keys(before, after) == ["b"]
    assert after.revision == 9


def test_what_is_known_already_changes_nothing() -> None:
    version = from_snapshot(snapshot(switch("a"), revision=5))

    assert after_change(version, changed(4, removed=["a"])) is version
    assert after_change(version, changed(5, removed=["a"])) is version


@pytest.mark.parametrize(
    "document", [changed(7), changed(6) | {"epoch": "other"}], ids=["a gap", "another epoch"]
)
def test_what_does_not_follow_is_refused(document: dict[str, Any]) -> None:
    version = from_snapshot(snapshot(revision=5))

    with pytest.raises(OutOfStepError):
        after_change(version, document)


def test_a_change_of_several_revisions_may_begin_earlier() -> None:
    version = from_snapshot(snapshot(revision=5))

    assert after_change(version, changed(9, switch("a"), previous=3)).revision == 9


def test_what_can_no_longer_be_read_is_not_in_force() -> None:
    before = from_snapshot(snapshot(switch("a"), switch("b")))

    broken = after_change(before, changed(2, switch("a", power=1)))
    mended = after_change(broken, changed(3, switch("a")))
    removed = after_change(broken, changed(3, removed=["a"]))

    assert "a" not in broken.flags
    assert "power" in str(broken.problem_of("a"))
    assert broken.unreadable["flags", "a"].document == switch("a", power=1)
    assert mended.problem_of("a") is removed.problem_of("a") is None


@given(
    st.dictionaries(
        st.sampled_from(["epoch", "revision", "previous", "flags", "removed", "segments"]),
        st.recursive(
            st.none() | st.integers() | st.text(max_size=3),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(st.sampled_from(["key", "type", "x"]), inner, max_size=3)
            ),
            max_leaves=6,
        ),
    )
)
def test_any_document_is_either_taken_or_refused(document: dict[str, Any]) -> None:
    version = from_snapshot(snapshot(switch("a")))
    document = json.loads(json.dumps(document))
    for read in (partial(from_snapshot, document), partial(after_change, version, document)):
        try:
            assert isinstance(read(), Version)
        except (InvalidFlagsError, OutOfStepError):
            continue
