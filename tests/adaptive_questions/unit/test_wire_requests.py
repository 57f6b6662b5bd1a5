"""What a body may say, and where it is told to be wrong."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from adaptive_questions.domain.gap import Asker, Brief, Gap, Language, Priority
from adaptive_questions.wire.reading import MAX_DEPTH, MAX_VALUES
from adaptive_questions.wire.requests import (
    parse_batch,
    parse_evaluate,
    parse_generate,
    parse_refine,
)
from windsock_kit.errors import BadRequestError, InvalidError, TooLargeError

GAP = {"skill": "Go", "priority": "LOW"}
BRIEF: dict[str, dict[str, object]] = {
    "parsed_cv": {"skills": ["Docker"]},
    "parsed_jd": {"title": "Engineer"},
}
ONE: dict[str, object] = {**BRIEF, "gap": GAP}
BATCH: dict[str, object] = {**BRIEF, "gaps": [GAP]}
PRIORITIES = ["CRITICAL", "HIGH", "MEDIUM", "LOW"]


def body(of: dict[str, Any], **changed: object) -> bytes:
    return orjson.dumps(of | changed)


def test_what_is_said_arrives() -> None:
    gaps = [
        {"skill": "Kubernetes", "priority": "CRITICAL", "description": "Clusters"},
        {"skill": "Go", "priority": "LOW"},
    ]

    given = parse_batch(body(BATCH, gaps=gaps, language="german"))

    assert [gap.value() for gap in given.gaps] == [
        Gap("Kubernetes", Priority.CRITICAL, "Clusters"),
        Gap("Go", Priority.LOW),
    ]
    assert given.brief() == Brief(BRIEF["parsed_cv"], BRIEF["parsed_jd"], Language.GERMAN)


def test_questions_are_english_unless_said_otherwise() -> None:
    assert parse_generate(body(ONE)).brief().language is Language.ENGLISH


def test_body_says_who_asks_before_the_headers_do() -> None:
    headers = {"X-User-ID": " header-user ", "X-Session-ID": "header-session"}

    from_headers = parse_generate(body(ONE)).asker(headers)
    mixed = parse_generate(body(ONE, user_id="body-user")).asker(headers)
    nobody = parse_generate(body(ONE)).asker({"X-User-ID": ""})

    assert from_headers == Asker("header-user", "header-session")
    assert mixed == Asker("body-user", "header-session")
    assert nobody == Asker(None, None)


@pytest.mark.parametrize("name", ["X-User-ID", "X-Session-ID"])
@pytest.mark.parametrize("text", ["u" * 201, "\x7f", "ü"])
def test_header_that_is_no_name_is_refused(name: str, text: str) -> None:
    with pytest.raises(InvalidError) as told:
        parse_generate(body(ONE)).asker({name: text})

    assert told.value.path == name


WRONG: list[Any] = [
    ({"gaps": []}, "gaps", "length >= 1"),
    ({"gaps": [GAP] * 51}, "gaps", "length <= 50"),
    ({"gaps": "Go"}, "gaps", "Expected `array`"),
    ({"gaps": [GAP, {"priority": "LOW"}]}, "gaps[1].skill", "missing"),
    ({"gaps": [GAP | {"skill": " \t"}]}, "gaps[0].skill", "not blank"),
    ({"gaps": [GAP | {"skill": ""}]}, "gaps[0].skill", "not blank"),
    ({"gaps": [GAP | {"skill": "s" * 201}]}, "gaps[0].skill", "length <= 200"),
    ({"gaps": [GAP | {"skill": 5}]}, "gaps[0].skill", "Expected `str`"),
    ({"gaps": [GAP | {"description": "d" * 2001}]}, "gaps[0].description", "length <= 2000"),
    ({"gaps": [GAP | {"weight": 1}]}, "gaps[0].weight", "unknown"),
    ({"gaps": [GAP, GAP, GAP, {"skill": "Go"}]}, "gaps[3].priority", "missing"),
    ({"parsed_cv": []}, "parsed_cv", "Expected `object`"),
    ({"parsed_jd": None}, "parsed_jd", "Expected `object`"),
    ({"user_id": ""}, "user_id", "length >= 1"),
    ({"session_id": "s" * 201}, "session_id", "length <= 200"),
    ({"gap": GAP}, "gap", "unknown"),
]


@pytest.mark.parametrize(("change", "path", "detail"), WRONG)
def test_what_is_wrong_is_told_with_its_place(
    change: dict[str, Any], path: str, detail: str
) -> None:
    with pytest.raises(InvalidError, match=detail) as told:
        parse_batch(body(BATCH, **change))

    assert told.value.path == path


@pytest.mark.parametrize("given", ["URGENT", "high", "", "CRITICAL "])
def test_other_priority_is_told_with_those_there_are(given: str) -> None:
    gaps = [GAP, GAP, GAP, GAP | {"priority": given}]

    with pytest.raises(InvalidError, match="CRITICAL, HIGH, MEDIUM, LOW") as told:
        parse_batch(body(BATCH, gaps=gaps))

    assert (told.value.path, told.value.allowed) == ("gaps[3].priority", PRIORITIES)


@pytest.mark.parametrize("given", ["klingon", "English"])
def test_other_language_is_told_with_those_there_are(given: str) -> None:
    with pytest.raises(InvalidError, match="english, german") as told:
        parse_generate(body(ONE, language=given))

    assert (told.value.path, told.value.allowed) == ("language", [*Language])


def test_fields_of_a_document_may_have_names_of_ours() -> None:
    given = parse_generate(body(ONE, parsed_cv={"priority": "URGENT", "gaps": 5}))

    assert given.brief().parsed_cv == {"priority": "URGENT", "gaps": 5}


@pytest.mark.parametrize("name", ["question", "feedback"])
@pytest.mark.parametrize("text", ["\n ", "t" * 10_001])
def test_texts_are_bounded_and_not_blank(name: str, text: str) -> None:
    given = ONE | {"question": "What?", "feedback": "Broad"}

    with pytest.raises(InvalidError) as told:
        parse_refine(body(given, **{name: text}))

    assert told.value.path == name


def test_answer_may_be_left_out_but_not_be_blank() -> None:
    given = ONE | {"question": "What?"}

    assert parse_evaluate(body(given)).answer is None
    assert parse_evaluate(body(given, answer=None)).answer is None
    with pytest.raises(InvalidError, match="not blank") as told:
        parse_evaluate(body(given, answer=" "))
    assert told.value.path == "answer"


@pytest.mark.parametrize(
    "raw",
    [b"", b"{", b"\xff", b'{"gaps": 5, "parsed', b"[" * 5000, b'{"parsed_cv": NaN}'],
    ids=["nothing", "cut", "not UTF-8", "wrong and cut", "deep", "NaN"],
)
def test_what_is_no_json_is_told_as_that(raw: bytes) -> None:
    with pytest.raises(BadRequestError):
        parse_batch(raw)


def test_documents_are_nested_so_deep_and_no_deeper() -> None:
    deepest: dict[str, Any] = {}
    for _ in range(MAX_DEPTH - 1):
        deepest = {"in": deepest}

    parse_generate(body(ONE, parsed_jd=deepest))
    with pytest.raises(InvalidError, match=f"{MAX_DEPTH} levels") as told:
        parse_generate(body(ONE, parsed_jd={"roles": [deepest]}))

    assert told.value.path is not None
    assert told.value.path.startswith("parsed_jd.roles[0].in.in")


def test_millions_of_values_are_refused_before_they_are_decoded() -> None:
    with pytest.raises(TooLargeError, match="50000 values"):
        parse_generate(body(ONE, parsed_cv={"numbers": [0] * (MAX_VALUES + 1)}))


def test_what_is_told_is_short() -> None:
    with pytest.raises(InvalidError) as told:
        parse_generate(body(ONE, **{"x" * 100_000: 1}))

    assert told.value.path is not None
    assert len(told.value.path) + len(told.value.detail) < 500
