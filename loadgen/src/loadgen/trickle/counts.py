"""What became of the requests of a minute, as one line of a log."""

from collections import Counter
from dataclasses import dataclass, field

from loadgen.trickle.client import Outcome


@dataclass(slots=True)
class Counts:
    """``left_out`` requests were due and not made: the workload was in trouble, or all places taken."""

    sent: int = 0
    answered: int = 0
    left_out: int = 0
    failed: Counter[str] = field(default_factory=Counter)

    def add(self, outcome: Outcome) -> None:
        if outcome.ok:
            self.answered += 1
        else:
            self.failed[outcome.label] += 1

    def __iadd__(self, other: "Counts") -> "Counts":
        self.sent += other.sent
        self.answered += other.answered
        self.left_out += other.left_out
        self.failed += other.failed
        return self

    def line(self) -> str:
        why = ", ".join(f"{label}: {count}" for label, count in self.failed.most_common())
        return (
            f"{self.sent} sent, {self.answered} answered, {self.failed.total()} failed"
            f"{f' ({why})' if why else ''}, {self.left_out} left out"
        )
