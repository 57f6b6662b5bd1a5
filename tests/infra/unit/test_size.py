from __future__ import annotations

from pathlib import Path

import pytest

from infra.tasks import size


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x = 1\n" * 601, "601 lines, at most 600"),
        ("def f():\n" + "    x = 1\n" * 60, "f: 61 lines, at most 60"),
        ("async def f(a, b, c, d, e, /, g, h): ...\n", "f: 7 positional parameters, at most 6"),
    ],
    ids=["file", "function", "parameters"],
)
def test_what_is_over_the_budget_is_named(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "module.py"
    path.write_text(text)

    (complaint,) = size.complaints(path, size.FILE_LIMIT)

    assert complaint.endswith(said)


def test_what_is_just_within_the_budget_passes(tmp_path: Path) -> None:
    path = tmp_path / "module.py"
    function = "def f(a, b, c, d, e, g, *, h, i):\n" + "    x = 1\n" * 59
    path.write_text(function + "y = 1\n" * 540)

    assert list(size.complaints(path, size.FILE_LIMIT)) == []
