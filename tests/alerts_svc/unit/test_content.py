from __future__ import annotations

import orjson
import pytest

from alerts_svc.domain.world import Acknowledge
from alerts_svc.store.content import REPLACEMENT, dump, group_hash, kind_of, load_command, text


@pytest.mark.parametrize(
    ("given", "held"),
    [
        ("plain", "plain"),
        ("zwölf 🎉", "zwölf 🎉"),
        ("a\0b", f"a{REPLACEMENT}b"),
        ("ä\0", f"ä{REPLACEMENT}"),
        ("\ud83c\udf89", REPLACEMENT * 2),
        ("\udfff", REPLACEMENT),
        ("\\u0000", "\\u0000"),
    ],
    ids=["ascii", "beyond", "nul", "nul-beyond", "pair", "lone", "written-out"],
)
def test_text_keeps_all_that_postgresql_can_hold(given: str, held: str) -> None:
    assert text(given) == held
    assert orjson.loads(dump({given: [given, (given,)]})) == {held: [held, [held]]}


def test_what_is_no_text_stays_as_it_is() -> None:
    given = {"a": 1, "b": 2.5, "c": None, "d": True, "e": "\0"}

    assert orjson.loads(dump(given)) == {**given, "e": REPLACEMENT}


def test_a_group_is_found_by_its_key_whatever_its_length() -> None:
    keys = ["a", "b", "a" * 1_000_000, "a\0", ""]

    assert len({group_hash(key) for key in keys}) == len(keys)
    assert {len(group_hash(key)) for key in keys} == {16}
    assert group_hash("a\0") == group_hash(text("a\0"))


def test_a_command_is_read_as_it_was_written() -> None:
    content = Acknowledge("i", "ann", None)

    command = load_command(7, 1.5, kind_of(content), dump(content))

    assert (command.id, command.at, command.content) == (7, 1.5, content)
