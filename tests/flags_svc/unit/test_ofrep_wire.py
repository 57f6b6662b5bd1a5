from typing import Any

import orjson
import pytest

from flags_svc.wire.ofrep import RefusedError, matches, parse_request, tell, tell_failure
from tests.flags_svc.ofrep_schema import check_one
from windsock.flags.evaluation import (
    DEFAULT,
    DISABLED,
    GENERAL,
    INVALID_CONTEXT,
    PARSE_ERROR,
    PROVIDER_NOT_READY,
    SPLIT,
    STATIC,
    TARGETING_KEY_MISSING,
    TARGETING_MATCH,
    Evaluation,
    failed,
)
from windsock_kit.errors import TooLargeError, UnavailableError


def test_a_context_is_read_with_its_user() -> None:
    asked = parse_request(b'{"context":{"targetingKey":"ann","plan":"pro"}}')
    assert asked.unit == "ann"
    assert asked.context == {"targetingKey": "ann", "plan": "pro"}


@pytest.mark.parametrize(
    "body",
    [b"{}", b'{"context":{}}', b'{"context":{"targetingKey":""}}', b'{"context":{},"more":1}'],
)
def test_who_has_no_key_asks_all_the_same(body: bytes) -> None:
    assert parse_request(body).unit is None


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", PARSE_ERROR),
        (b"{", PARSE_ERROR),
        (b"\xff", PARSE_ERROR),
        (b'"\\ud800"', PARSE_ERROR),
        (b"[]", PARSE_ERROR),
        (b"null", PARSE_ERROR),
        (b"[" * 5_000, PARSE_ERROR),
        (b'{"context":null}', INVALID_CONTEXT),
        (b'{"context":[]}', INVALID_CONTEXT),
        (b'{"context":"ann"}', INVALID_CONTEXT),
        (b'{"context":{"targetingKey":7}}', INVALID_CONTEXT),
        (b'{"context":{"targetingKey":["ann"]}}', INVALID_CONTEXT),
    ],
)
def test_what_cannot_be_a_question_is_refused(body: bytes, code: str) -> None:
    with pytest.raises(RefusedError) as refused:
        parse_request(body)
    assert (refused.value.status, refused.value.code) == (400, code)
    check_one(400, orjson.loads(refused.value.body("flag")))


@pytest.mark.parametrize("unit", ["x" * 1001, "a\0b"], ids=["long", "nul"])
def test_a_user_is_called_as_everywhere(unit: str) -> None:
    with pytest.raises(RefusedError, match="targetingKey must have at most 1000") as refused:
        parse_request(orjson.dumps({"context": {"targetingKey": unit}}))

    assert (refused.value.status, refused.value.code) == (400, "INVALID_CONTEXT")
    assert parse_request(orjson.dumps({"context": {"targetingKey": "x" * 1000}})).unit


def test_equal_contexts_have_one_canonical_text() -> None:
    one = parse_request(b'{"context":{"a":1,"b":{"c":2,"d":3}}}')
    other = parse_request(b'{"context":{ "b":{"d":3,"c":2},"a":1 }}')
    different = parse_request(b'{"context":{"a":1,"b":{"c":2,"d":4}}}')
    assert one.canonical() == other.canonical() != different.canonical()


def test_a_context_that_is_nested_too_deeply_is_refused() -> None:
    asked = parse_request(b'{"context":{"a":' + b"[" * 500 + b"]" * 500 + b"}}")
    with pytest.raises(RefusedError, match="nested"):
        asked.canonical()


@pytest.mark.parametrize(
    ("reason", "variant", "told"),
    [
        (STATIC, "on", STATIC),
        (TARGETING_MATCH, "on", TARGETING_MATCH),
        (SPLIT, "on", SPLIT),
        (DISABLED, "on", DISABLED),
        (DEFAULT, "on", TARGETING_MATCH),
        (DEFAULT, None, DEFAULT),
        (DISABLED, None, DISABLED),
    ],
)
def test_reasons_are_those_that_clients_know(reason: str, variant: str | None, told: str) -> None:
    answer = orjson.loads(tell(Evaluation("flag", variant, True, reason), "boolean"))
    check_one(200, answer)
    assert answer["reason"] == told
    assert answer["variant"] == (variant or "")
    assert ("value" in answer) == (variant is not None)


@pytest.mark.parametrize(
    ("kind", "value", "text"),
    [
        ("float", 1, b"1.0"),
        ("float", 1.0, b"1.0"),
        ("float", 0.1, b"0.1"),
        ("integer", 1, b"1"),
        ("integer", 2**53 - 1, b"9007199254740991"),
        ("boolean", True, b"true"),
        ("string", "ü", '"ü"'.encode()),
        ("object", {"a": [1]}, b'{"a":[1]}'),
    ],
)
def test_values_keep_their_type(kind: str, value: object, text: bytes) -> None:
    answer = tell(Evaluation("flag", "v", value, STATIC), kind)
    assert answer.endswith(b'"value":' + text + b"}")


@pytest.mark.parametrize(
    ("code", "told"),
    [
        (PARSE_ERROR, PARSE_ERROR),
        (TARGETING_KEY_MISSING, TARGETING_KEY_MISSING),
        (INVALID_CONTEXT, INVALID_CONTEXT),
        (GENERAL, GENERAL),
        (PROVIDER_NOT_READY, GENERAL),
    ],
)
@pytest.mark.parametrize("message", ["why", ""])
def test_failures_say_what_failed_and_why(code: str, told: str, message: str) -> None:
    answer = orjson.loads(tell_failure(failed("flag", code, message)))
    check_one(400, answer)
    assert answer["errorCode"] == told


def test_failures_of_the_service_are_told_in_the_same_words() -> None:
    large = RefusedError.because(TooLargeError("too large"))
    assert (large.status, large.code, large.headers) == (413, GENERAL, {})
    away = RefusedError.because(UnavailableError("away", retry_after=1.2))
    assert (away.status, away.code, away.headers) == (503, GENERAL, {"Retry-After": "2"})


@pytest.mark.parametrize(
    ("given", "same"),
    [
        (b'"tag"', True),
        (b'W/"tag"', True),
        (b'"other", W/"tag"', True),
        (b"*", True),
        (b"", False),
        (b"tag", False),
        (b'"ta"', False),
        (b'"TAG"', False),
    ],
)
def test_tags_are_compared_as_a_proxy_leaves_them(given: bytes, same: Any) -> None:
    assert matches(given, b'"tag"') is same
