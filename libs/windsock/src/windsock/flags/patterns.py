"""Regular expressions by RE2, which takes time in proportion to the text whatever the pattern."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from contextlib import suppress
from typing import Any

MAX_PATTERN = 512
# The part of an attribute that is looked at.
MAX_INPUT = 10_000
# With either bound alone a short pattern such as ``(a?){1000}`` many times over would hold up a
# process for seconds: in the worst case each character costs a step for each of the program.
_MAX_PROGRAM = 3_000
_MAX_MEMORY_BYTES = 4 << 20
NEEDED = "needs windsock[flags]"

re2: Any = None
with suppress(ImportError):
    re2 = importlib.import_module("re2")
AVAILABLE = re2 is not None


def wrong(value: object) -> str | None:
    """Return what is wrong with a pattern; where RE2 is not installed, little is found."""
    if not isinstance(value, str):
        return "must be a text"
    if len(value) > MAX_PATTERN:
        return f"must be a pattern of at most {MAX_PATTERN} characters"
    if re2 is None:
        return None
    try:
        # Ignoring case makes the greater program.
        size = _compiled(value, ignore_case=True).programsize
    except (re2.error, ValueError) as error:
        reason = error.args[0] if error.args else ""
        text = reason.decode("utf-8", "replace") if isinstance(reason, bytes) else str(reason)
        return f"is no regular expression of RE2: {text}"
    return None if size <= _MAX_PROGRAM else "is too large when it is compiled"


def test_of(values: tuple[str, ...], ignore_case: bool) -> Callable[[Any], bool]:
    """Return the test whether one of the patterns is found in a text."""
    searches = tuple(_compiled(each, ignore_case=ignore_case).search for each in values)

    def test(value: Any) -> bool:
        if not isinstance(value, str):
            return False
        # As bytes: RE2 works on them, and would count characters for each match otherwise.
        text = value[:MAX_INPUT].encode("utf-8", "replace")
        return any(search(text) is not None for search in searches)

    return test


def _compiled(pattern: str, *, ignore_case: bool) -> Any:
    options = re2.Options()
    options.log_errors = False
    options.never_capture = True
    options.max_mem = _MAX_MEMORY_BYTES
    options.case_sensitive = not ignore_case
    return re2.compile(pattern, options)
