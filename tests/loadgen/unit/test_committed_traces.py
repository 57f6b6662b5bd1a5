"""The rows in tests/data against totals computed by other means (csv, json and integers)."""

import csv
import json
from pathlib import Path

import pytest

from loadgen.prompt_cache import PromptCache
from loadgen.schedule import survey
from loadgen.traces import detect_format, read_calls

DATA = Path(__file__).parents[2] / "data"


@pytest.mark.parametrize(
    ("name", "calls", "input_tokens", "output_tokens", "span_seconds"),
    [
        ("azure-conversation.csv", 400, 371_046, 104_009, 106.330212),
        ("azure-code.csv", 200, 414_215, 4_907, 199.089585),
        ("mooncake-conversation.jsonl", 200, 2_782_179, 71_379, 72.0),
    ],
)
def test_totals_are_those_of_the_file(
    name: str, calls: int, input_tokens: int, output_tokens: int, span_seconds: float
) -> None:
    lines = (DATA / name).read_bytes().splitlines(keepends=True)

    parsed = list(read_calls(lines, detect_format(lines)))

    assert len(parsed) == calls
    assert sum(call.input_tokens for call in parsed) == input_tokens
    assert sum(call.output_tokens for call in parsed) == output_tokens
    assert survey(parsed, compress=1).span_seconds == pytest.approx(span_seconds, abs=2e-6)


@pytest.mark.parametrize("name", ["azure-conversation.csv", "azure-code.csv"])
def test_azure_columns_agree_with_the_csv_module(name: str) -> None:
    content = (DATA / name).read_bytes()
    lines = content.splitlines()
    rows = csv.DictReader(content.decode().splitlines())

    calls = list(read_calls(lines, detect_format(lines)))

    assert [(call.input_tokens, call.output_tokens) for call in calls] == [
        (int(row["ContextTokens"]), int(row["GeneratedTokens"])) for row in rows
    ]


def test_mooncake_prompt_cache_serves_what_a_set_of_prefixes_says() -> None:
    lines = (DATA / "mooncake-conversation.jsonl").read_bytes().splitlines()
    cache = PromptCache()

    lookups = [
        cache.look_up(call.prompt_blocks or (), call.input_tokens)
        for call in read_calls(lines, detect_format(lines))
    ]

    prefixes: set[tuple[int, ...]] = {()}
    expected = []
    for row in map(json.loads, lines):
        own = [tuple(row["hash_ids"][:n]) for n in range(len(row["hash_ids"]) + 1)]
        longest = max(len(prefix) for prefix in own if prefix in prefixes)
        expected.append(min(512 * longest, row["input_length"]))
        prefixes.update(own)
    assert [lookup.cached_tokens for lookup in lookups] == expected
    assert sum(expected) == 164_864
    assert [lookup.miss_reason for lookup in lookups] == ["cold"] + [None] * 199
