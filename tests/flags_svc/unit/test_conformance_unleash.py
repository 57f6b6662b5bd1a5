"""Unleash's specification for its SDKs: after an import each of its contexts gives what it says, or the report told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from flags_svc.conversion import unleash
from flags_svc.conversion.outcome import DRAWN_ANEW, VERSIONS
from flags_svc.domain.bulk import import_items
from tests.flags_svc.conformance import Imported, data
from tests.flags_svc.worlds import after, world
from windsock.flags.evaluation import Evaluation
from windsock_kit.errors import InvalidError

SPECIFICATIONS: list[dict[str, Any]] = data("unleash.json")
NAMES = [each["name"] for each in SPECIFICATIONS]
# A flag that is left out gives nobody anything. Why it is left out:
LEFT_OUT = {
    "Feature.remoteAddress.C": "must be a network",
    "Feature.Variants.override.D": "overrides",
    "F7.dateAfter": "is a schedule here",
    "F7.dateBefore": "is a schedule here",
    "F7.date-range": "is a schedule here",
    "F7.date-with-timezone": "is a schedule here",
    "F7.invalid-operator": "has no equal",
    "F9.withMissingSegment": "no segment 404",
    "parent.with.cycle": "depends on others",
    "child.with.cycle": "depends on others",
    "child.with.transitive.dependency": "depends on others",
    "parent.non.matching.variant.child.enabled": "has none of them",
    "Feature.UTF-8.Hellø_Wørld": "characters",
    "Feature.UTF-8.😊_φriend_你好_🌍": "characters",
    "invalid-regex-defaults-to-false": "no regular expression",
    "R90.reject_lookahead": "no regular expression",
    "R91.reject_backreference": "no regular expression",
    "CIDR.mixed.values": "must be a network",
    "CIDR.invalid.only": "must be a network",
    "CIDR.ipv6.mixed.values": "must be a network",
}


class Case:
    """A context, and who asks in it."""

    def __init__(self, context: dict[str, Any]) -> None:
        given = {**context, **(context.get("properties") or {})}
        given.pop("properties", None)
        self.user = given.pop("userId", None)
        self.attributes = given

    def with_numbers(self) -> dict[str, Any]:
        """Return the attributes, those in which a number is written as one."""
        return {name: _number(each) for name, each in self.attributes.items()}


def _number(value: Any) -> Any:
    try:
        return float(value)
    except (TypeError, ValueError):
        return value


def is_on(found: Evaluation) -> bool:
    return found.variant not in {None, "off", "disabled"}


def cases(specification: dict[str, Any], imported: Imported) -> Iterator[tuple[str, Case, Any]]:
    """Return the key, the context and what is right, as a check of what was found."""
    for key, context, expected in specification["enabled"]:
        yield key, Case(context), lambda found, expected=expected: is_on(found) is expected
    for key, context, name, payload in specification["variants"]:
        if key in imported.flags and imported.flags[key].flag.type == "boolean":
            # It has no variants there: the one that Unleash calls disabled tells nothing.
            continue
        yield (
            key,
            Case(context),
            lambda found, name=name, payload=payload: _is(found, name, payload),
        )


def _is(found: Evaluation, name: str, payload: str | None) -> bool:
    same = payload is None or _number(payload) == _number(found.value)
    return found.variant == name and same


def judged(specification: dict[str, Any]) -> Counter[str]:
    """Return how often what happened; raises ``AssertionError`` at what the report does not tell."""
    imported = Imported(unleash.read(specification, "production"))
    counts: Counter[str] = Counter()
    for key, case, is_right in cases(specification, imported):
        if key not in imported.flags:
            counts["left out" if key in imported.left_out else "unknown"] += 1
            continue
        found = imported.ask(key, case.user, case.attributes)
        if is_right(found):
            counts["same"] += 1
            continue
        said = imported.said_of(key)
        if found.reason == "SPLIT" or found.error_code is not None:
            counts["drawn anew"] += 1
            assert DRAWN_ANEW in said, (key, found)
        elif case.attributes.get("version", "").startswith("v"):
            counts["version with a v"] += 1
            assert VERSIONS in said, (key, found)
        else:
            counts["number in a text"] += 1
            assert "a number in a text is none" in said, (key, found)
            assert is_right(imported.ask(key, case.user, case.with_numbers())), (key, found)
    return counts


@pytest.mark.parametrize("specification", SPECIFICATIONS, ids=NAMES)
def test_an_imported_flag_gives_what_unleash_gives(specification: dict[str, Any]) -> None:
    assert judged(specification)


def test_few_contexts_give_something_else() -> None:
    total = sum((judged(each) for each in SPECIFICATIONS), Counter[str]())

    assert total == {
        "same": 212,
        "left out": 28,
        "unknown": 3,
        "number in a text": 13,
        "version with a v": 1,
        "drawn anew": 14,
    }


def test_what_is_left_out_is_told() -> None:
    found = {
        key: note
        for each in SPECIFICATIONS
        for key, note in Imported(unleash.read(each, "production")).left_out.items()
    }

    assert found.keys() == LEFT_OUT.keys()
    for key, note in found.items():
        assert LEFT_OUT[key] in note.detail
        assert note.path.startswith("features[")


def test_a_parent_that_is_nowhere_refuses_the_import() -> None:
    child = {"name": "child", "enabled": True, "dependencies": [{"feature": "nowhere"}]}
    converted = unleash.read({"features": [child]}, "production")

    with pytest.raises(InvalidError, match="there is no flag nowhere"):
        after(world(), import_items(converted.given))
