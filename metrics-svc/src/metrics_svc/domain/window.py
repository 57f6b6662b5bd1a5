"""Windows: which buckets of which resolution answer for a stretch of time, with as few rows as possible."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from metrics_svc.domain.rollup import RESOLUTIONS, floor


@dataclass(frozen=True, slots=True)
class Segment:
    """The buckets of ``resolution`` that start in ``[start, end)``."""

    resolution: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of time ``[start, end)``, aligned to buckets, in steps of ``step`` seconds (``None``: one)."""

    start: int
    end: int
    step: int | None = None

    @property
    def seconds(self) -> int:
        """The length of the window."""
        return self.end - self.start

    def steps(self) -> list[int]:
        """Return the start of each step; steps lie on multiples of ``step``, so the first may begin earlier."""
        if self.step is None:
            return [self.start]
        return list(range(floor(self.start, self.step), self.end, self.step))


def finest_kept(start: float, *, now: float, kept: Mapping[int, int]) -> int:
    """Return the finest resolution whose rows are still there at ``start``.

    ``kept`` tells for each resolution for how many seconds its rows are kept.
    """
    return next((r for r in RESOLUTIONS if start >= now - kept[r]), RESOLUTIONS[-1])


def align(
    start: float, end: float, *, now: float, kept: Mapping[int, int], step: int | None = None
) -> Window:
    """Return the window whose edges lie on the finest buckets that are still kept.

    Edges move outward, so the window covers at least what was asked for.
    """
    finest = finest_kept(start, now=now, kept=kept)
    last = floor(int(end), finest)
    if last < end:
        last += finest
    return Window(floor(int(start), finest), last, step)


def plan(window: Window) -> list[Segment]:
    """Return disjoint segments that cover the window exactly, the coarsest that fit; none crosses a step."""
    usable = [r for r in RESOLUTIONS if window.step is None or window.step % r == 0]
    found: list[Segment] = []
    _cover(window.start, window.end, usable, found)
    return sorted(found, key=lambda segment: segment.start)


def _cover(start: int, end: int, usable: Sequence[int], found: list[Segment]) -> None:
    if start >= end:
        return
    *finer, coarsest = usable
    inner_start = -floor(-start, coarsest)
    inner_end = floor(end, coarsest)
    if inner_start >= inner_end:
        if finer:
            _cover(start, end, finer, found)
        return
    found.append(Segment(coarsest, inner_start, inner_end))
    if finer:
        _cover(start, inner_start, finer, found)
        _cover(inner_end, end, finer, found)
