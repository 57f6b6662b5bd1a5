"""Whatever is sent is refused with its place or taken as it is, and nothing ends in a 500."""

from __future__ import annotations

import gzip
from typing import Any
from urllib.parse import quote

import orjson
import pytest

from tests.flags_svc.api import FLAGS, Api

NAMES = {
    "unicode": "größe-\N{SNOWMAN}", "slash": "a/b", "dots": "../../etc/passwd", "nul": "a\0b", "empty-like": " ",
    "long": "x" * 10_000, "quote": "'; DROP TABLE flags.items; --", "percent": "100%", "query": "a?b=c", "fragment": "a#b",
    "line": "a\nb", "emoji": "\N{ROCKET}", "rtl": "\N{RIGHT-TO-LEFT OVERRIDE}abc", "template": "{flag_name}", "backslash": "a\\b",
    "reserved": "stale",
}  # fmt: skip


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
async def test_no_flag_of_a_hostile_name_comes_to_be_or_is_found(api: Api, name: str) -> None:
    made = await api.client.post(FLAGS, json={"key": name, "type": "boolean"})
    path = f"{FLAGS}/{quote(name, safe='')}"
    asked = [
        await api.client.get(path + "/history"),
        await api.client.put(path, json={"type": "boolean"}),
        await api.client.patch(path, json={"owner": "x"}),
        await api.client.post(path + "/enable"),
        await api.client.post(path + "/rollout", json={"percentage": 1}),
        await api.client.post(path + "/evaluate", json={"user_id": "x"}),
        await api.client.post(path + "/revert/1"),
    ]

    assert (made.status_code, made.json()["path"]) == (422, "key")
    assert {answer.status_code for answer in asked} <= {404, 405, 422}
    assert {answer.headers["content-type"] for answer in asked} == {"application/problem+json"}


async def test_bytes_that_are_no_text_are_no_address_of_anything(api: Api) -> None:
    answer = await api.client.get(FLAGS + "/%ff%fe")

    assert answer.status_code == 404


@pytest.mark.parametrize("key", ["A", "a.b:c~d|e-f_9", "x" * 128], ids=["short", "signs", "long"])
async def test_every_key_that_is_allowed_is_found_again(api: Api, key: str) -> None:
    made = await api.client.post(FLAGS, json={"key": key, "type": "boolean"})

    found = await api.client.get(made.headers["location"])

    assert (made.status_code, found.status_code, found.json()) == (201, 200, made.json())


async def test_variants_are_told_as_they_came(api: Api) -> None:
    variants = {"größe/\N{SNOWMAN}": {"a": [1, 1.0, True, None, "\N{ROCKET}"]}, "x" * 128: {}}

    made = await api.make("odd-variants", type="object", variants=variants,
                          default_variant="größe/\N{SNOWMAN}", off_variant="x" * 128)  # fmt: skip
    await api.do("POST", "/odd-variants/enable")
    given = await api.do("POST", "/odd-variants/evaluate", {"user_id": "\N{ROCKET}"})

    assert orjson.dumps(made["variants"]) == orjson.dumps(variants)
    assert orjson.dumps(given["value"]) == orjson.dumps(variants["größe/\N{SNOWMAN}"])


async def test_numbers_keep_their_type(api: Api) -> None:
    await api.make("float", type="float", variants={"one": 1, "half": 0.5},
                   default_variant="one", off_variant="half")  # fmt: skip
    await api.make("integer", type="integer", variants={"one": 2**53 - 1},
                   default_variant="one", off_variant="one")  # fmt: skip
    await api.do("POST", "/float/enable")

    text = (await api.client.get(FLAGS + "/float")).text
    given = (await api.client.post(FLAGS + "/float/evaluate", json={})).text

    assert '"one":1.0' in text
    assert '"value":1.0' in given
    assert (await api.get("/integer"))["variants"] == {"one": 2**53 - 1}


RULE: Any = {
    "when": {"attribute": "a", "operator": "equals", "value": 1},
    "serve": {"variant": "on"},
}
DEEP: Any = {"segment": "x"}
for _ in range(11):
    DEEP = {"not": DEEP}


def production(**fields: Any) -> dict[str, Any]:
    return {"environments": {"production": fields}}


def rule(**when: Any) -> dict[str, Any]:
    return production(rules=[{**RULE, "when": when}])


AT = "environments.production"
WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "type": ({"type": "bool"}, "type"),
    "variants of another type": ({"variants": {"on": "yes"}}, "variants.on"),
    "no variants": ({"variants": {}}, "variants"),
    "a number for a truth value": ({"variants": {"on": 1, "off": 0}}, "variants.on"),
    "an unknown default": ({"default_variant": "other"}, "default_variant"),
    "an unknown field": ({"enabled": True}, "enabled"),
    "an unknown kind": ({"kind": "toy"}, "kind"),
    "a day too many": ({"lifetime_days": 10**6}, "lifetime_days"),
    "no character": ({"description": "a\0b"}, "description"),
    "an unknown environment": ({"environments": {"moon": {}}}, "environments.moon"),
    "an unknown operator": (rule(attribute="a", operator="like", value="x"), f"{AT}.rules[0].when.operator"),
    "no value": (rule(attribute="a", operator="equals"), f"{AT}.rules[0].when"),
    "a bomb": (rule(attribute="a", operator="matches", value="(((a{1,1000}){1,1000}){1,1000})"), f"{AT}.rules[0].when.value"),
    "a long pattern": (rule(attribute="a", operator="matches", value="a" * 513), f"{AT}.rules[0].when.value"),
    "a wrong pattern": (rule(attribute="a", operator="matches", value="("), f"{AT}.rules[0].when.value"),
    "a wrong network": (rule(attribute="a", operator="in_cidr", value="10.0.0.0/99"), f"{AT}.rules[0].when.value"),
    "a wrong version": (rule(attribute="a", operator="semver_equals", value="x.y"), f"{AT}.rules[0].when.value"),
    "an unknown segment": (rule(segment="nobody"), f"{AT}.rules[0].when.segment"),
    "too deep": (rule(**DEEP), f"{AT}.rules[0].when"),
    "weights of nothing": (production(fallthrough={"split": {"on": 0, "off": 0}}), f"{AT}.fallthrough.split"),
    "a negative weight": (production(fallthrough={"split": {"on": -1, "off": 2}}), f"{AT}.fallthrough.split.on"),
    "a weight of another": (production(fallthrough={"split": {"blue": 1}}), f"{AT}.fallthrough.split"),
    "too much of all": (production(fallthrough={"rollout": {"percentage": 100.5, "variant": "on"}}), f"{AT}.fallthrough.rollout.percentage"),
    "an unknown prerequisite": ({"prerequisites": [{"flag": "nobody", "variants": ["on"]}]}, "prerequisites[0].flag"),
    "a step without a time": (production(schedule=[{"enabled": True}]), f"{AT}.schedule[0]"),
}  # fmt: skip


@pytest.mark.parametrize(("fields", "path"), WRONG.values(), ids=WRONG)
async def test_what_is_wrong_with_a_flag_is_told_with_its_place(
    api: Api, fields: dict[str, Any], path: str
) -> None:
    answer = await api.do("POST", "", {"key": "wrong", "type": "boolean", **fields}, status=422)

    assert answer["path"].startswith(path)


async def test_half_a_character_is_refused(api: Api) -> None:
    body = rb'{"key":"half","type":"boolean","description":"\ud800"}'

    answer = await api.client.post(FLAGS, content=body)

    assert answer.status_code in {400, 422}


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"\xff", b"null", b"[]", b"NaN", b'{"a":' * 3_000, b'"text"', b"[" * 100_000, b'{"key":1e999}'],
    ids=range(10),
)  # fmt: skip
@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", ""), ("POST", "/import"), ("PATCH", "/use_batch_generation"), ("POST", "/segments"),
     ("POST", "/use_batch_generation/rollout"), ("POST", "/use_batch_generation/evaluate")],
)  # fmt: skip
async def test_a_body_that_is_no_object_is_refused(
    api: Api, method: str, path: str, body: bytes
) -> None:
    answer = await api.client.request(method, FLAGS + path, content=body)

    assert answer.status_code in {400, 422}


@pytest.mark.parametrize("encoding", [None, "gzip"])
async def test_bodies_over_one_mebibyte_are_refused(api: Api, encoding: str | None) -> None:
    body = orjson.dumps({"key": "big", "type": "boolean", "description": "x" * 2**20})
    sent = gzip.compress(body) if encoding else body
    headers = {"Content-Encoding": encoding} if encoding else {}

    answers = [
        await api.client.request(method, FLAGS + path, content=sent, headers=headers)
        for method, path in [
            ("POST", ""),
            ("PUT", "/use_batch_generation"),
            ("POST", "/use_batch_generation/enable"),
            ("POST", "/use_batch_generation/rollout"),
            ("POST", "/use_batch_generation/evaluate"),
            ("POST", "/evaluate"),
            ("POST", "/segments"),
        ]
    ]

    assert {answer.status_code for answer in answers} == {413}
    assert {answer.json()["code"] for answer in answers} == {"too_large"}


async def test_who_asks_is_told_in_readable_characters_only(api: Api) -> None:
    body = {"key": "by-whom", "type": "boolean"}

    long = await api.client.post(FLAGS, json=body, headers={"X-Windsock-Actor": "x" * 201})
    odd = await api.client.post(
        FLAGS, json=body, headers={b"X-Windsock-Comment": b"a\xe2\x80\xaeb"}
    )
    latin = await api.client.post(FLAGS, json=body, headers={b"X-Windsock-Actor": b"Zo\xeb"})

    assert (long.status_code, long.json()["path"]) == (422, "X-Windsock-Actor")
    assert (odd.status_code, odd.json()["path"]) == (422, "X-Windsock-Comment")
    assert (latin.status_code, latin.json()["updated_by"]) == (201, "Zoë")


async def test_head_is_get_without_a_body_and_other_methods_are_told(api: Api) -> None:
    heads = [
        await api.client.head(FLAGS + path) for path in ("", "/use_batch_generation", "/stale")
    ]
    refused = await api.client.patch(FLAGS)
    one = await api.client.post(FLAGS + "/use_batch_generation")

    assert {(answer.status_code, answer.content) for answer in heads} == {(200, b"")}
    assert refused.status_code == one.status_code == 405
    assert set(refused.headers["allow"].split(", ")) == {"GET", "HEAD", "POST"}
    assert set(one.headers["allow"].split(", ")) == {"GET", "HEAD", "PUT", "PATCH", "DELETE"}


async def test_versions_and_ids_beyond_everything_are_not_there(api: Api) -> None:
    big = 10**30
    answers = [
        await api.client.get(f"{FLAGS}/use_batch_generation/history/{big}"),
        await api.client.get(f"{FLAGS}/use_batch_generation/history/0"),
        await api.client.get(f"{FLAGS}/use_batch_generation/history/-1"),
        await api.client.post(f"{FLAGS}/use_batch_generation/revert/{big}"),
        await api.client.get(f"{FLAGS}/change-requests/{'x' * 5000}"),
        await api.client.get(f"{FLAGS}/change-requests/%00"),
    ]

    assert {answer.status_code for answer in answers} == {404}


@pytest.mark.parametrize(
    ("body", "path"),
    [
        (b'{"context": {"a": [1, {"b": 1e400}]}}', "context.a[1].b"),
        (b'{"context": {"a": -1e999, "b": 1e400}}', "context.a"),
        (b'{"context": {"n": ' + b"9" * 5_000 + b"}}", "context.n"),
    ],
    ids=["deep", "negative", "whole"],
)
async def test_a_number_that_is_too_great_is_told_with_its_place(
    api: Api, body: bytes, path: str
) -> None:
    answer = await api.client.post(FLAGS + "/evaluate", content=body)

    assert (answer.status_code, answer.json()["path"]) == (422, path)


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        (b"", "it is empty"),
        (rb'{"key": "\ud83d"}', r"\ud83d is half a surrogate pair, and no character"),
    ],
    ids=["empty", "surrogate"],
)
async def test_what_is_no_json_is_told_why(api: Api, body: bytes, detail: str) -> None:
    answer = await api.client.post(FLAGS, content=body)

    assert (answer.status_code, answer.json()["detail"]) == (400, f"the body is not JSON: {detail}")


async def test_a_split_asks_for_a_targeting_key_in_words_of_http(api: Api) -> None:
    split = {"fallthrough": {"split": {"on": 1, "off": 1}}, "enabled": True}
    await api.make("needs-a-key", environments={"production": split})

    told = await api.do("POST", "/needs-a-key/evaluate", {})

    assert told["error_code"] == "TARGETING_KEY_MISSING"
    assert "targetingKey" in told["error_message"]


@pytest.mark.parametrize(
    ("method", "path", "body", "place"),
    [
        ("POST", "", b'{"key": "twice", "type": "boolean", "key": "other"}', "key"),
        ("POST", "/import", b'{"flags": [{"key": "a", "variants": {"on": 1, "on": 2}}]}', "flags[0].variants.on"),
        ("POST", "/import?format=flagd", b'{"flags": {"a": {}, "a": {}}}', "flags.a"),
        ("PATCH", "/use_batch_generation", b'{"owner": "a", "owner": "b"}', "owner"),
        ("POST", "/use_batch_generation/enable", b'{"environment": "staging", "environment": "production"}', "environment"),
    ],
)  # fmt: skip
async def test_a_name_that_is_twice_is_refused_everywhere(
    api: Api, method: str, path: str, body: bytes, place: str
) -> None:
    answer = await api.client.request(method, FLAGS + path, content=body)

    assert (answer.status_code, answer.json()["path"]) == (422, place)
