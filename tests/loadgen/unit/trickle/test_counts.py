from loadgen.trickle.client import Outcome
from loadgen.trickle.counts import Counts


def test_line_tells_what_became_of_the_requests() -> None:
    counts = Counts(sent=5, left_out=2)
    for label in ("503", "timeout", "503"):
        counts.add(Outcome(label))
    counts.add(Outcome("200", ok=True))

    assert counts.line() == "5 sent, 1 answered, 3 failed (503: 2, timeout: 1), 2 left out"


def test_totals_are_the_sums_of_the_minutes() -> None:
    total = Counts()
    for _ in range(2):
        minute = Counts(sent=2, left_out=1)
        minute.add(Outcome("200", ok=True))
        minute.add(Outcome("504"))
        total += minute

    assert total.line() == "4 sent, 2 answered, 2 failed (504: 2), 2 left out"
