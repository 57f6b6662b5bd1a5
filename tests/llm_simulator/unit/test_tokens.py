from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_simulator import tokens

TEXTS = {
    "english": "How would you find the cause if Kubernetes became the bottleneck?",
    "german": "Wie würden Sie die Ursache finden, wenn {skill} zum Engpaß wird?",
    "emoji": "👩‍👩‍👧 naïve 日本語 𓀀𓂀",
    "json": '{"id":"g1","score":7.4,"criteria":{"relevance":7.6}}\n\n',
    "empty": "",
}


def test_known_text_has_its_known_number_of_tokens() -> None:
    # From OpenAI's tokenizer page, for o200k_base.
    assert list(tokens.encode("hello world")) == [24912, 2375]


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS.keys())
def test_count_is_the_number_of_ids_and_ids_give_the_text_back(text: str) -> None:
    ids = tokens.encode(text)

    assert tokens.count(text) == len(ids)
    assert tokens.decode(ids) == text


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS.keys())
@pytest.mark.parametrize("size", [1, 4])
def test_portions_make_the_whole_text_and_its_tokens(text: str, size: int) -> None:
    portions = list(tokens.portions(text, size))

    assert "".join(portion for portion, _ in portions) == text
    assert sum(count for _, count in portions) == tokens.count(text)


def test_head_ends_before_half_a_character() -> None:
    text = "𓀀𓂀"

    heads = [tokens.head(text, length) for length in range(tokens.count(text) + 1)]

    assert set(heads) == {"", "𓀀", "𓀀𓂀"}
    assert heads == sorted(heads, key=len)


@given(st.lists(st.text(alphabet=st.characters(codec="utf-8"), max_size=30), max_size=5))
def test_text_may_be_counted_in_pieces_where_a_line_begins_with_a_letter(parts: list[str]) -> None:
    text = "\nline ".join(parts)
    pieces = [parts[0] if parts else "", *(f"line {part}" for part in parts[1:])]
    ended = [f"{piece}\n" for piece in pieces[:-1]] + pieces[-1:]

    assert sum(tokens.count(piece) for piece in ended) == tokens.count(text)


async def test_long_text_has_the_same_ids_as_in_one_go() -> None:
    text = "A line of a long text, as it stands in many a CV.\n" * 5_000

    ids = await tokens.encode_politely(text)

    assert ids == tokens.encode(text)


async def test_long_text_without_lines_is_read_as_well() -> None:
    text = "word " * 50_000

    assert tokens.decode(await tokens.encode_politely(text)) == text
