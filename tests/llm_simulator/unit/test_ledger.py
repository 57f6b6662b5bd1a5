from __future__ import annotations

from datetime import UTC, datetime

from llm_simulator.domain.catalogue import MODELS, Usage
from llm_simulator.domain.ledger import Account, Ledger

EXP, EMBEDDINGS = MODELS["gemini-2.0-flash-exp"], MODELS["text-embedding-004"]
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def test_calls_add_up_by_model_and_in_total() -> None:
    ledger = Ledger(NOON)
    ledger.sell(EXP, 1, Usage(2_000, 1_024, 50))
    ledger.sell(EXP, 2, Usage(100, 0, 10))
    ledger.sell(EMBEDDINGS, 3, Usage(7))

    assert ledger.whole == {
        EXP: Account(2, 2_100, 1_024, 60, (2_100 - 1_024) * 100 + 1_024 * 25 + 60 * 400),
        EMBEDDINGS: Account(1, 7, 0, 0, 700),
    }
    assert ledger.total() == Account(3, 2_107, 1_024, 60, 157_900)


def test_equal_requests_are_counted_as_duplicates() -> None:
    ledger = Ledger(NOON)
    for key in (1, 2, 1, 1):
        ledger.sell(EXP, key, Usage(10))

    assert (ledger.unique_keys, ledger.duplicates) == (2, 2)


def test_cut_and_refused_calls_are_kept_apart() -> None:
    ledger = Ledger(NOON)
    ledger.lose(EXP, Usage(10, 0, 2))
    ledger.refuse(429)
    ledger.refuse(429)
    ledger.refuse(503)

    assert ledger.cut == Account(1, 10, 0, 2, 1_800)
    assert dict(ledger.errors) == {429: 2, 503: 1}
    assert ledger.total() == Account()
    assert ledger.unique_keys == 0


def test_ledger_says_when_it_can_hold_no_more_keys() -> None:
    ledger = Ledger(NOON, max_keys=2)
    told = []
    for key in (1, 2, 1, 3):
        ledger.sell(EXP, key, Usage(10))
        told.append(ledger.saturated)

    assert told == [False, False, False, True]
    assert (ledger.unique_keys, ledger.duplicates, ledger.total().calls) == (2, 1, 4)
