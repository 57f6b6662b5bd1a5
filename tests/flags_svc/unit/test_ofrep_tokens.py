import pytest

from flags_svc.ofrep.tokens import Pass, StreamTokens, TokenError
from windsock_kit.testing import FakeClock


def some(clock: FakeClock, key: bytes = b"key") -> StreamTokens:
    tokens = StreamTokens(seconds=100.0, now=clock.monotonic)
    tokens.use(key)
    return tokens


def test_a_token_opens_the_stream_that_it_is_for() -> None:
    tokens = some(FakeClock())
    assert tokens.read(tokens.issue("staging", "epoch-7")) == Pass("staging", "epoch-7")


def test_all_who_ask_at_about_the_same_time_are_given_the_same() -> None:
    clock = FakeClock()
    tokens = some(clock)
    first, window = tokens.issue("staging", "epoch-7"), tokens.window()
    clock.advance(49)
    assert tokens.issue("staging", "epoch-7") == first
    assert some(clock).issue("staging", "epoch-7") == first
    assert tokens.window() == window
    clock.advance(1)
    assert tokens.issue("staging", "epoch-7") != first
    assert tokens.window() != window


@pytest.mark.parametrize("asked_after", [0.0, 25.0, 49.0])
def test_a_token_lives_half_its_time_at_least_and_no_longer_than_that_time(
    asked_after: float,
) -> None:
    clock = FakeClock()
    tokens = some(clock)
    clock.advance(asked_after)
    token = tokens.issue("production", "epoch-1")
    clock.advance(50)
    tokens.read(token)
    clock.advance(50)
    with pytest.raises(TokenError, match="expired"):
        tokens.read(token)


@pytest.mark.parametrize("wrong", ["", "x", "WyJzdGFnaW5nIl0.x", "é", "\0", "a.b.c"])
def test_what_we_did_not_make_opens_nothing(wrong: str) -> None:
    with pytest.raises(TokenError, match="not ours"):
        some(FakeClock()).read(wrong)


def test_a_token_cannot_be_changed_nor_made_with_another_key() -> None:
    clock = FakeClock()
    tokens = some(clock)
    token = tokens.issue("staging", "epoch-7")
    other = tokens.issue("production", "epoch-7")
    swapped = other.rpartition(".")[0] + "." + token.rpartition(".")[2]
    for forged in (token[:-3], swapped, some(clock, b"other").issue("staging", "epoch-7")):
        with pytest.raises(TokenError):
            tokens.read(forged)


def test_another_key_is_another_window() -> None:
    clock = FakeClock()
    assert some(clock).window() != some(clock, b"other").window()
    assert StreamTokens(seconds=9).window() != StreamTokens(seconds=9).window()
