import json

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.sdk.flag_strategies import (
    FLAGS,
    SEGMENTS,
    anything,
    contexts,
    flag_sets,
    flags,
    segments,
    units,
)
from windsock.flags.conditions import Context
from windsock.flags.definition import Flag, FlagSet, Segment
from windsock.flags.evaluation import CompiledSet, compile_set
from windsock.flags.explaining import explain
from windsock.flags.reading import flag_of, read_document, segment_of
from windsock.flags.writing import document, flag_document, segment_document


@settings(max_examples=60, deadline=None)
@given(flag_sets())
def test_what_is_written_is_read_as_the_same(written: FlagSet) -> None:
    text = json.dumps(document(written), allow_nan=False)

    assert read_document(text.encode()) == written
    assert json.dumps(document(read_document(text.encode()))) == text


@settings(max_examples=80, deadline=None)
@given(flag_sets(), units, contexts)
def test_the_explanation_gives_what_the_evaluation_gives(
    given_flags: FlagSet, unit: str | None, context: Context
) -> None:
    compiled = compile_set(given_flags)

    for key, flag in compiled.items():
        explained = explain(compiled, key, unit, context)
        assert explained.evaluation == flag.evaluate(unit, context)
        assert json.loads(json.dumps(explained.document(), allow_nan=False))["flag"] == key
        assert flag.fixed is None or explained.evaluation == flag.fixed


# Circles, unknown segments and flags that come and go: nothing here is as it should be.
edits = st.one_of(
    st.sampled_from(FLAGS).flatmap(flags),
    st.sampled_from(SEGMENTS).flatmap(segments),
    st.sampled_from(FLAGS).map(lambda key: ("flag", key)),
    st.sampled_from(SEGMENTS).map(lambda key: ("segment", key)),
)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.lists(edits, max_size=3), max_size=5), units, contexts)
def test_change_after_change_is_the_same_as_all_at_once(
    steps: list[list[Flag | Segment | tuple[str, str]]], unit: str | None, context: Context
) -> None:
    compiled = CompiledSet()
    whole_flags: dict[str, Flag] = {}
    whole_segments: dict[str, Segment] = {}

    for step in steps:
        changed = {each.key: each for each in step if isinstance(each, Flag)}
        changed_segments = {each.key: each for each in step if isinstance(each, Segment)}
        removed = {each for each in step if isinstance(each, tuple)}
        gone = {key for kind, key in removed if kind == "flag"} - changed.keys()
        gone_segments = {key for kind, key in removed if kind != "flag"} - changed_segments.keys()
        before = {key: flag.evaluate(unit, context) for key, flag in compiled.items()}
        new = compiled.after(changed.values(), gone, changed_segments.values(), gone_segments)
        assert before == {key: flag.evaluate(unit, context) for key, flag in compiled.items()}
        compiled = new
        whole_flags = {k: v for k, v in whole_flags.items() if k not in gone} | changed
        whole_segments = {
            k: v for k, v in whole_segments.items() if k not in gone_segments
        } | changed_segments

    at_once = compile_set(FlagSet(whole_flags, whole_segments))
    assert compiled.keys() == at_once.keys()
    assert compiled.problems == at_once.problems
    for key, flag in compiled.items():
        assert flag.flag == at_once[key].flag
        assert flag.evaluate(unit, context) == at_once[key].evaluate(unit, context)
        assert explain(compiled, key, unit, context) == explain(at_once, key, unit, context)


@settings(max_examples=40, deadline=None)
@given(flag_sets(), anything)
def test_any_attribute_is_answered(given_flags: FlagSet, value: object) -> None:
    context = dict.fromkeys(("plan", "age", "seen", "version", "ip", "user", "user.country"), value)

    for flag in compile_set(given_flags).values():
        assert flag.evaluate("u-1", context).error_code in {None, "INVALID_CONTEXT"}


def test_what_is_the_default_is_left_out() -> None:
    flag = Flag("f", "boolean", {"on": True})

    assert flag_document(flag) == {
        "key": "f",
        "type": "boolean",
        "variants": {"on": True},
        "enabled": True,
    }
    assert flag_of({"key": "f", "type": "boolean", "variants": {"on": True}}, "f") == flag
    assert segment_document(Segment("s")) == {"key": "s"}
    assert segment_of({"key": "s"}, "s") == Segment("s")
