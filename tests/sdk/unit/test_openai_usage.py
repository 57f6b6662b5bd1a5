from types import SimpleNamespace

import pytest

from windsock.integrations._usage import Usage, langchain_usage, openai_usage


def test_a_chat_completion_s_usage_is_read_with_its_details() -> None:
    reported = {
        "prompt_tokens": 100,
        "completion_tokens": 30,
        "total_tokens": 130,
        "prompt_tokens_details": {"cached_tokens": 64, "cache_write_tokens": 8},
        "completion_tokens_details": {"reasoning_tokens": 10},
    }

    assert openai_usage(reported) == Usage(100, 30, 64, 8, 10)


def test_a_response_s_usage_is_read_from_attributes() -> None:
    reported = SimpleNamespace(
        input_tokens=100,
        output_tokens=30,
        total_tokens=130,
        input_tokens_details=SimpleNamespace(cached_tokens=0),
        output_tokens_details=SimpleNamespace(reasoning_tokens=10),
    )

    assert openai_usage(reported) == Usage(100, 30, 0, 0, 10)


def test_without_details_the_cache_is_unknown() -> None:
    reported = {"prompt_tokens": 12, "total_tokens": 12}

    assert openai_usage(reported) == Usage(12, 0, None)


def test_reasoning_that_stands_in_the_total_alone_is_output() -> None:
    told = {"completion_tokens_details": {"reasoning_tokens": 70}}
    silent = {"prompt_tokens": 100, "completion_tokens": 30, "total_tokens": 200}

    assert openai_usage(silent) == Usage(100, 100, None, 0, 70)
    assert openai_usage(silent | told) == Usage(100, 100, None, 0, 70)


@pytest.mark.parametrize(
    "reported",
    [None, {}, "many", {"prompt_tokens": "12"}, {"prompt_tokens": -1}, {"prompt_tokens": True}],
)
def test_what_is_no_usage_is_none(reported: object) -> None:
    assert openai_usage(reported) is None


def test_odd_details_are_left_out() -> None:
    reported = {"prompt_tokens": 5, "completion_tokens": None, "prompt_tokens_details": ["?"]}

    assert openai_usage(reported) == Usage(5, 0, None)


def test_langchain_s_usage_is_read_with_its_details() -> None:
    reported = {
        "input_tokens": 100,
        "output_tokens": 30,
        "total_tokens": 130,
        "input_token_details": {"cache_read": 64, "cache_creation": 8},
        "output_token_details": {"reasoning": 10},
    }

    assert langchain_usage(reported) == Usage(100, 30, 64, 8, 10)


def test_cache_writes_by_lifetime_are_added_up() -> None:
    details = {"cache_creation": 0, "ephemeral_5m_input_tokens": 5, "ephemeral_1h_input_tokens": 3}
    reported = {"input_tokens": 100, "output_tokens": 30, "input_token_details": details}

    assert langchain_usage(reported) == Usage(100, 30, None, 8, 0)


def test_a_message_without_usage_has_none() -> None:
    assert langchain_usage(None) is None
