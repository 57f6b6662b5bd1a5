from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any
from uuid import uuid4

import pytest

from loadgen.prices import EMBEDDING_MODELS, PriceList, PricesError, Rates
from tests.loadgen.integration.suites import Suite
from tests.loadgen.integration.workload import running_workload_stub

OLD, NEW = EMBEDDING_MODELS


@pytest.fixture
def suite(month_suite: Suite) -> Suite:
    """Give a suite without own prices."""
    month_suite.put("prices", {"prices": []})
    return month_suite


def price(model: str, usd: float, **more: Any) -> dict[str, Any]:
    return {"model": model, "input_usd_per_mtok": usd, "output_usd_per_mtok": 0, **more}


def resolved(suite: Suite, model: str) -> dict[str, Any]:
    found: dict[str, Any] = suite.get("prices", model=model, provider="google")["resolved"]
    return found


def test_models_without_a_price_get_one_and_only_once(suite: Suite) -> None:
    prices = PriceList(suite.url, api_key=None)

    assert prices.complete() == [OLD, NEW]
    assert prices.complete() == []

    listed = suite.get("prices")
    assert len(listed["prices"]) == 2
    assert listed["set_by"] == "loadgen"
    for model in EMBEDDING_MODELS:
        assert resolved(suite, model)["input_usd_per_mtok"] == Decimal("0.1")


def test_prices_of_the_user_are_left_alone(suite: Suite) -> None:
    own = [
        price(OLD, 0.025),
        price("our-own", 1.5, provider="us", cached_input_usd_per_mtok=0.123456789),
        price("later", 2, effective_from="2031-01-01T00:00:00Z"),
    ]
    before = suite.put("prices", {"prices": own, "set_by": "ada"})["prices"]

    assert PriceList(suite.url, api_key=None).complete() == [NEW]

    after = suite.get("prices")["prices"]
    assert [each for each in after if each["model"] != NEW] == before
    assert resolved(suite, OLD)["input_usd_per_mtok"] == Decimal("0.025")
    assert resolved(suite, NEW)["input_usd_per_mtok"] == Decimal("0.1")


def test_calls_of_the_last_hour_are_charged_the_new_price(suite: Suite) -> None:
    call = {
        "type": "llm_call",
        "operation": "index_knowledge",
        "provider": "google",
        "model": OLD,
        "input_tokens": 1_000_000,
    }
    hour = timedelta(hours=1)
    times = [datetime.now(UTC) - 2 * hour, datetime.now(UTC) - hour / 2]
    events = [{**call, "timestamp": at.isoformat()} for at in times]
    suite.post("events", {"batch_id": str(uuid4()), "events": events})

    PriceList(suite.url, api_key=None).complete()

    costs = suite.get("costs", time_window_minutes=300, operation="index_knowledge")
    assert (costs["total_cost_usd"], costs["unpriced_calls"]) == (Decimal("0.1"), 1)


def test_rates_are_those_that_the_suite_charges(suite: Suite) -> None:
    found = PriceList(suite.url, api_key=None).rates("gemini-2.0-flash-exp")

    assert found is not None
    assert found == Rates(Fraction(100), Fraction(25), Fraction(400))
    assert PriceList(suite.url, api_key=None).rates("no-such-model") is None


def test_price_below_a_nano_dollar_stays_exact(suite: Suite) -> None:
    suite.put("prices", {"prices": [price(OLD, 0.0123456)]})

    found = PriceList(suite.url, api_key=None).rates(OLD)

    assert found is not None
    assert found.input == Fraction("12.3456")
    assert found.nanos(3, 0, 0) == 37


def test_list_that_somebody_else_changes_meanwhile_is_read_again() -> None:
    with running_workload_stub() as stub:
        stub.price_changes = 2

        assert PriceList(stub.url, api_key="wsk_secret").complete() == [OLD, NEW]

        assert stub.prices_set == 1
        assert stub.authorization == {"Bearer wsk_secret"}


def test_list_that_is_never_left_alone_is_given_up() -> None:
    with running_workload_stub() as stub:
        stub.price_changes = 100

        with pytest.raises(PricesError, match="kept being changed"):
            PriceList(stub.url, api_key=None).complete()


def test_suite_that_is_not_there_or_is_none_is_said() -> None:
    with pytest.raises(PricesError, match=r"nothing answers at http://127.0.0.1:9/api"):
        PriceList("http://127.0.0.1:9", api_key=None).complete()
    with running_workload_stub() as stub:
        stub.has_prices = False
        with pytest.raises(PricesError, match="answered 404"):
            PriceList(stub.url, api_key=None).complete()
