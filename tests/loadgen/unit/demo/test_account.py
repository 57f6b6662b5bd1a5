from datetime import UTC, datetime
from fractions import Fraction
from uuid import UUID

import pytest

from loadgen.demo.account import Account
from loadgen.demo.events import LlmCall, Performance
from loadgen.demo.slots import Slot
from loadgen.ingest import Receipt, Rejection
from loadgen.prices import Rates

AT = datetime(2026, 11, 22, 12, tzinfo=UTC)
FLASH = Rates(input=Fraction(100), cached_input=Fraction(25), output=Fraction(400))


def call(tokens: int, model: str = "flash") -> LlmCall:
    return LlmCall(
        timestamp=AT,
        user_id="u",
        session_id="s",
        operation="generate_question",
        provider="google",
        model=model,
        input_tokens=tokens,
        cached_input_tokens=tokens // 2,
        output_tokens=10,
        duration_ms=1.0,
    )


def slot(*events: LlmCall | Performance) -> Slot:
    return Slot(UUID(int=1), AT, len(events), list(events))


@pytest.fixture
def account() -> Account:
    return Account({"flash": FLASH, "unknown": None})


def test_stored_events_are_counted_and_charged(account: Account) -> None:
    run = Performance(timestamp=AT, user_id="u", session_id="s", operation="start", duration_ms=1)

    account.add(slot(call(100), call(40), run), Receipt(3, False))

    assert account.events == {"llm_call": 2, "performance": 1}
    assert (account.input_tokens, account.cached_input_tokens, account.output_tokens) == (
        140,
        70,
        20,
    )
    assert account.cost_nanos == 70 * 100 + 70 * 25 + 20 * 400
    assert "  cost    $0.000016750" in account.lines(1.0)


def test_batch_that_the_suite_had_is_charged_nothing(account: Account) -> None:
    account.add(slot(call(100), call(40)), Receipt(0, True))

    assert (account.already_there, account.events.total(), account.cost_nanos) == (1, 0, 0)
    assert account.slots == 1


def test_refused_event_is_left_out_and_named(account: Account) -> None:
    refusal = Rejection(0, "too old", "timestamp")

    account.add(slot(call(100), call(40)), Receipt(1, False, (refusal,)))

    assert account.events == {"llm_call": 1}
    assert account.input_tokens == 40
    assert "  refused timestamp: too old" in account.lines(1.0)


def test_model_without_a_price_is_counted_and_not_guessed(account: Account) -> None:
    account.add(slot(call(100, "unknown"), call(100, "never heard of")), Receipt(2, False))

    assert (account.unpriced_calls, account.cost_nanos) == (2, 0)
    assert "  without a price: 2 model calls" in account.lines(1.0)


@pytest.mark.parametrize(("tokens", "nanos"), [(1, 2), (3, 8), (5, 12)], ids=["2.5", "7.5", "12.5"])
def test_half_a_nano_dollar_is_rounded_to_the_even_one(tokens: int, nanos: int) -> None:
    assert Rates(Fraction(5, 2), Fraction(0), Fraction(0)).nanos(tokens, 0, 0) == nanos
