"""Label sets: safe to keep, and told apart by their fingerprints."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from alerts_svc.domain.labels import MAX_LABELS, MAX_VALUE, clean, fingerprint, safe

anything = st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=5)


def test_fingerprint_is_sixteen_digits_whatever_the_order() -> None:
    found = fingerprint({"a": "1", "b": "2"})

    assert found == fingerprint({"b": "2", "a": "1"})
    assert len(found) == 16
    assert int(found, 16) >= 0


@given(anything, anything)
def test_different_label_sets_have_different_fingerprints(
    one: dict[str, str], other: dict[str, str]
) -> None:
    same = {k.encode(errors="replace"): v.encode(errors="replace") for k, v in one.items()} == {
        k.encode(errors="replace"): v.encode(errors="replace") for k, v in other.items()
    }

    assert (fingerprint(one) == fingerprint(other)) is same


def test_boundary_between_name_and_value_counts() -> None:
    assert fingerprint({"ab": "c"}) != fingerprint({"a": "bc"})
    assert fingerprint({"a": "b", "c": "d"}) != fingerprint({"a": "bc", "d": ""})


def test_plain_text_stays_as_it_is() -> None:
    text = "grüße \U0001f32c"

    assert clean(text) == text
    assert clean("plain") == "plain"


def test_what_no_store_can_hold_is_replaced() -> None:
    assert clean("a\0b\ud800c") == "a\N{REPLACEMENT CHARACTER}b?c"
    assert clean("\0") == "\N{REPLACEMENT CHARACTER}"


def test_long_text_is_cut_and_marked() -> None:
    found = clean("x" * 1_000_000)

    assert len(found) == MAX_VALUE
    assert found.endswith("x…")


def test_empty_values_are_as_if_not_there() -> None:
    assert safe({"b": "2", "a": "1", "c": "", "": "3"}) == {"a": "1", "b": "2"}
    assert list(safe({"b": "2", "a": "1"})) == ["a", "b"]


def test_of_too_many_labels_name_and_severity_stay() -> None:
    given_labels = {f"a{index:03}": "x" for index in range(1000)}

    found = safe({**given_labels, "severity": "page", "alertname": "Many"})

    assert len(found) == MAX_LABELS
    assert (found["alertname"], found["severity"]) == ("Many", "page")


@given(anything)
def test_safe_labels_can_be_kept_and_stay_the_same(labels: dict[str, str]) -> None:
    found = safe(labels)

    assert safe(found) == found
    assert fingerprint(safe(found)) == fingerprint(found)
    for name, value in found.items():
        assert f"{name}{value}".encode().decode() == f"{name}{value}"
        assert "\0" not in name + value
