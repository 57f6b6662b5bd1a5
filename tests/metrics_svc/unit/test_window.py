from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metrics_svc.domain.rollup import RESOLUTIONS, floor
from metrics_svc.domain.window import Segment, Window, align, finest_kept, plan

DAY = 86_400
KEPT = {10: 3 * DAY, 60: 35 * DAY, 600: 100 * DAY, 3600: 400 * DAY}
NOW = 1_800_000_000
tens = st.integers(NOW // 10 - 400_000, NOW // 10).map(lambda n: n * 10)
steps = st.none() | st.integers(1, 9_000).map(lambda n: n * 10)


@st.composite
def windows(draw: st.DrawFn) -> Window:
    start = draw(tens)
    return Window(start, start + 10 * draw(st.integers(1, 300_000)), draw(steps))


def buckets(segment: Segment) -> range:
    return range(segment.start, segment.end, segment.resolution)


@given(windows())
def test_segments_cover_the_window_exactly_and_once(window: Window) -> None:
    segments = plan(window)

    assert segments[0].start == window.start
    assert segments[-1].end == window.end
    for before, after in itertools.pairwise(segments):
        assert before.end == after.start


@given(windows())
def test_segments_consist_of_whole_buckets(window: Window) -> None:
    for segment in plan(window):
        assert segment.start < segment.end
        assert segment.start % segment.resolution == segment.end % segment.resolution == 0


@given(windows().filter(lambda w: w.step is not None and w.seconds <= 50 * DAY))
def test_no_bucket_crosses_a_step(window: Window) -> None:
    assert window.step is not None
    for segment in plan(window):
        for bucket in list(buckets(segment))[:500]:
            assert floor(bucket, window.step) == floor(bucket + segment.resolution - 1, window.step)


@given(windows())
def test_every_resolution_is_read_in_two_stretches_at_most(window: Window) -> None:
    segments = plan(window)

    assert len(segments) <= 2 * len(RESOLUTIONS) - 1
    usable = [r for r in RESOLUTIONS if window.step is None or window.step % r == 0]
    for finer, coarser in itertools.pairwise(usable):
        read = sum(len(buckets(s)) for s in segments if s.resolution == finer)
        assert read < 2 * coarser // finer


@pytest.mark.parametrize("minutes", [5, 15, 60, 360, 1440, 43_200])
def test_usual_windows_read_few_buckets(minutes: int) -> None:
    worst = max(
        sum(len(buckets(s)) for s in plan(Window(end - minutes * 60, end)))
        for end in range(NOW, NOW + 3600, 10)
    )

    assert worst <= minutes // 60 + 10 + 20 + 10


@given(windows())
def test_steps_cover_the_window(window: Window) -> None:
    starts = window.steps()

    if window.step is None:
        assert starts == [window.start]
    else:
        assert starts[0] <= window.start < starts[0] + window.step
        assert starts[-1] < window.end <= starts[-1] + window.step
        assert all(start % window.step == 0 for start in starts)


@given(
    st.floats(NOW - 500 * DAY, NOW - 1),
    st.floats(0.001, 500 * DAY),
    st.sampled_from([KEPT, dict.fromkeys(RESOLUTIONS, DAY)]),
)
def test_edges_move_outward_and_by_less_than_one_kept_bucket(
    start: float, length: float, kept: dict[int, int]
) -> None:
    end = min(start + length, NOW)
    finest = finest_kept(start, now=NOW, kept=kept)

    window = align(start, end, now=NOW, kept=kept)

    assert window.start <= start < window.start + finest
    assert window.end - finest < end <= window.end
    assert window.start % finest == window.end % finest == 0
    assert {s.resolution for s in plan(window)} <= {r for r in RESOLUTIONS if r >= finest}


KEPT_CASES: list[Any] = [
    (3 * DAY, 10),
    (3 * DAY + 1, 60),
    (35 * DAY, 60),
    (35 * DAY + 1, 600),
    (100 * DAY + 1, 3600),
    (900 * DAY, 3600),
]


@pytest.mark.parametrize(("back", "finest"), KEPT_CASES)
def test_finest_resolution_is_one_that_is_still_kept(back: int, finest: int) -> None:
    assert finest_kept(NOW - back, now=NOW, kept=KEPT) == finest


def test_window_of_no_length_inside_a_bucket_becomes_that_bucket() -> None:
    assert align(NOW + 3, NOW + 4, now=NOW + 5, kept=KEPT) == Window(NOW, NOW + 10)
