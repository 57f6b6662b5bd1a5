from __future__ import annotations

import pytest

from windsock_kit.environment import (
    COUNT,
    PORT,
    SERVING,
    Convert,
    SettingsError,
    address,
    one_of,
    read,
    seconds,
    text,
    whole,
)


def variable_of(name: str) -> str:
    return f"TOY_{name.upper()}"


def test_what_is_set_is_converted_and_what_is_not_is_left_out() -> None:
    env = {"TOY_PORT": "8080", "TOY_LOG_LEVEL": "debug", "OTHER_HOST": "elsewhere"}

    assert read(env, SERVING, variable_of) == {"port": 8080, "log_level": "debug"}


def test_a_wrong_value_is_told_with_its_variable_and_what_is_allowed() -> None:
    with pytest.raises(SettingsError) as caught:
        read({"TOY_LOG_FORMAT": "xml"}, SERVING, variable_of)

    assert str(caught.value) == "TOY_LOG_FORMAT='xml' is wrong: it must be one of json, console"


def test_a_secret_is_not_told() -> None:
    with pytest.raises(SettingsError) as caught:
        read({"TOY_KEY": "hunter2"}, {"key": COUNT}, variable_of, secret={"key"})

    assert str(caught.value) == "TOY_KEY is wrong: it must be a whole number from 1 on"


@pytest.mark.parametrize(
    ("convert", "value", "made"),
    [
        (text, "a", "a"),
        (PORT, "65535", 65_535),
        (COUNT, "1", 1),
        (whole(0, 9), "0", 0),
        (seconds, "0.5", 0.5),
        (one_of("a", "b"), "b", "b"),
        (address("redis", "rediss"), "rediss://h", "rediss://h"),
    ],
)
def test_a_value_of_its_form_is_taken(convert: Convert, value: str, made: object) -> None:
    assert convert(value) == made


@pytest.mark.parametrize(
    ("convert", "value", "told"),
    [
        (text, "", "it is empty"),
        (PORT, "0", "it must be a whole number from 1 to 65535"),
        (PORT, "65536", "it must be a whole number from 1 to 65535"),
        (COUNT, "1.5", "it must be a whole number from 1 on"),
        (whole(0, 9), "-1", "it must be a whole number from 0 to 9"),
        (seconds, "0", "it must be a number of seconds above 0"),
        (seconds, "inf", "it must be a number of seconds above 0"),
        (seconds, "soon", "it must be a number of seconds above 0"),
        (one_of("a", "b"), "c", "it must be one of a, b"),
        (address("redis", "rediss"), "http://h", "it must start with redis:// or rediss://"),
    ],
)
def test_a_value_of_another_form_is_refused_in_words(
    convert: Convert, value: str, told: str
) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        convert(value)

    assert str(caught.value) == told
