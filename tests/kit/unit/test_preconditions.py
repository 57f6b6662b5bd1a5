from __future__ import annotations

import pytest

from windsock_kit.errors import InvalidError
from windsock_kit.preconditions import PreconditionFailedError, at_hand, etag, expected_version


@pytest.mark.parametrize(
    ("given", "version"),
    [(None, None), ("*", None), (" * ", None), ('"7"', 7), (' "7" ', 7), ('W/"7"', 7)],
)
def test_a_change_says_which_version_it_is_of(given: str | None, version: int | None) -> None:
    assert expected_version(given) == version


@pytest.mark.parametrize("given", ['"0"', '"07"', '"x"', '""', '"-1"', '"9999999999"', '"\u0667"'])
def test_a_tag_that_no_version_has_never_matches(given: str) -> None:
    with pytest.raises((PreconditionFailedError, InvalidError)):
        expected_version(given)


@pytest.mark.parametrize("given", ["", "7", '"7', '"7", "8"', "w/7"])
def test_what_is_no_tag_is_refused(given: str) -> None:
    with pytest.raises(InvalidError) as refused:
        expected_version(given)

    assert refused.value.path == "If-Match"


@pytest.mark.parametrize(
    ("given", "there"),
    [
        (None, False), ("*", True), ('"7"', True), ('W/"7"', True), ('"6", W/"7"', True), ('"77"', False), ("", False),
    ],
)  # fmt: skip
def test_a_copy_at_hand_is_known_by_its_tag(given: str | None, there: bool) -> None:
    assert at_hand(given, etag(7)["ETag"]) is there
