"""The reference workload's graph, walked through without running it: who calls what, in which order.

Nothing here waits or asks a model. What takes time is drawn, what a flag changes is done otherwise,
as in the workload itself, and each step is recorded as the SDK records it there.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import exp
from random import Random

from loadgen.demo.application import (
    FIXED_THRESHOLD,
    MODELS,
    MOST_SHARED,
    SEPARATE_RUNS,
    THRESHOLDS,
    Application,
)
from loadgen.demo.recorder import LIMITED, TIMED_OUT, Call, Fault, MissReason, Recorder
from loadgen.demo.story import Conditions

# A prompt's beginning is cached from so many tokens on, in steps.
_LEAST_CACHED, _CACHE_STEP = 1_024, 128
_PREFILL_MS_PER_TOKEN = 0.04
_IMPORTANT = frozenset({"CRITICAL", "HIGH"})

DEEP_DIVE = "generate_deep_dive_prompts_node_async"
EVALUATE = "evaluate_quality_node_async"
REFINE = "refine_answer_node_async"


class _CallFailedError(Exception):
    def __init__(self, fault: Fault, at: float) -> None:
        super().__init__(fault.message)
        self.fault = fault
        self.at = at


@dataclass(slots=True)
class Workflow:
    """One request. Times go in and come out as Unix seconds."""

    application: Application
    now: Conditions
    record: Recorder
    random: Random
    # Whether an earlier call of this request has left the shared beginning in the provider's cache.
    _prefix_used: bool = field(default=False, init=False)

    def generate(self, at: float, gaps: Sequence[str]) -> float:
        """Answer gaps of these priorities; return when that is done."""
        top = _highest(gaps)
        at = self._step("start", top, at)
        began = self._step("parse_gap", top, at)
        missing = [gap for gap in gaps if not self._kept(gap, began)]
        done = self._all_runs(missing, began)
        self.record.node("batch_generate", top, began, done)
        return self._step("finalize", top, done)

    def evaluate(self, at: float, priority: str) -> float:
        """Judge a question that the user brought."""
        at = self._step("start", priority, at)
        try:
            at, _ = self._judge(priority, at, [self._first_score()], first=False)
        except _CallFailedError as failed:
            return failed.at
        return self._step("finalize", priority, at)

    def refine(self, at: float, priority: str) -> float:
        """Improve a question that the user brought."""
        at = self._step("start", priority, at)
        try:
            at, scores = self._improve(priority, at, [self._first_score()])
            at, _ = self._judge(priority, at, scores, first=False)
        except _CallFailedError as failed:
            return failed.at
        return self._step("finalize", priority, at)

    def _all_runs(self, gaps: Sequence[str], at: float) -> float:
        if self.record.user.treatment.shared_calls:
            groups = [[gap for gap in gaps if gap == priority] for priority in THRESHOLDS]
            runs = [
                group[start : start + MOST_SHARED]
                for group in groups
                for start in range(0, len(group), MOST_SHARED)
            ]
            return max((self._run(run, at) for run in runs), default=at)
        lanes = [at] * SEPARATE_RUNS
        for gap in gaps:
            lane = lanes.index(min(lanes))
            lanes[lane] = self._run([gap], lanes[lane])
        return max(lanes)

    def _run(self, gaps: Sequence[str], at: float) -> float:
        """Make new questions for gaps of one priority; a failure ends the run and no other."""
        priority = gaps[0]
        try:
            at = self._embed(priority, at, len(gaps))
            at, found = self._search(priority, at, len(gaps))
            prompted = self._deep_dive(priority, at, len(gaps))
            at = self._write(priority, prompted, len(gaps), found)
            scores = [self._first_score(found / len(gaps)) for _ in gaps]
            at, accepted = self._judge(priority, at, scores, first=True)
            poor = [score for score, good in zip(scores, accepted, strict=True) if not good]
            if poor:
                at, better = self._improve(priority, at, poor)
                at, _ = self._judge(priority, at, better, first=False)
        except _CallFailedError as failed:
            return failed.at
        return at

    def _embed(self, priority: str, at: float, texts: int) -> float:
        name, app = "embed_gap", self.application
        unknown = 0
        for _ in range(texts):
            if self.random.random() < app.embedding_hits:
                self.record.hit("l1", name, priority, at, self._spread(app.embedding_ms))
            else:
                self.record.miss("l1", name, priority, at, "cold")
                unknown += 1
        end = at + self._seconds(app.node_ms)
        if not unknown:
            self.record.node(name, priority, at, end)
            return end
        model = self.record.user.treatment.embedding_model
        call = Call(app.provider, model, app.embedding_tokens * unknown)
        return self._model_node(name, priority, at, app.embedding_ms, call)

    def _search(self, priority: str, at: float, gaps: int) -> tuple[float, float]:
        """Search twice; return when that is done, and how many items were found for all gaps."""
        app, treatment = self.application, self.record.user.treatment
        first = at + self._seconds(app.search_ms)
        self.record.node("search_similar_questions", priority, at, first)
        begin = at if treatment.parallel_searches else first
        second = begin + self._seconds(app.search_ms)
        self.record.node("search_learning_resources_node_async", priority, begin, second)
        found = app.found_items
        found += app.found_more_relaxed * treatment.relaxed_search
        found += app.found_more_newer * (treatment.embedding_model == "text-embedding-005")
        return max(first, second), found * gaps * self._vary(0.2)

    def _deep_dive(self, priority: str, at: float, gaps: int) -> float:
        if self.record.user.treatment.cards and priority not in _IMPORTANT:
            return self._step(DEEP_DIVE, priority, at)
        app = self.application
        return self._chat(
            DEEP_DIVE, priority, at, gaps * app.gap_tokens, gaps * app.deep_dive_tokens
        )

    def _write(self, priority: str, at: float, gaps: int, found: float) -> float:
        app = self.application
        task = gaps * app.gap_tokens + round(found * app.item_tokens)
        return self._chat("generate_question", priority, at, task, gaps * app.question_tokens)

    def _judge(
        self, priority: str, at: float, scores: Sequence[float], *, first: bool
    ) -> tuple[float, list[bool]]:
        """Have questions judged, and record what is said of each."""
        app, treatment = self.application, self.record.user.treatment
        tokens, evaluator = app.evaluation_tokens, app.evaluator
        if treatment.advanced_evaluation:
            tokens, evaluator = app.advanced_evaluation_tokens, app.advanced_evaluator
        count = len(scores)
        end = self._chat(EVALUATE, priority, at, count * app.judged_tokens, count * tokens)
        wanted = THRESHOLDS[priority] if treatment.dynamic_thresholds else FIXED_THRESHOLD
        accepted = [score >= wanted for score in scores]
        for score, good in zip(scores, accepted, strict=True):
            verdict = good if first else None
            self.record.judgement(
                EVALUATE, priority, end, score, evaluator=evaluator, accepted=verdict
            )
        return end, accepted

    def _improve(
        self, priority: str, at: float, scores: Sequence[float]
    ) -> tuple[float, list[float]]:
        app = self.application
        count = len(scores)
        task, answer = count * app.judged_tokens, count * app.question_tokens
        end = self._chat(REFINE, priority, at, task, answer)
        gains = [self.random.gauss(app.refined_gain, 0.3) for _ in scores]
        return end, [_bounded(score + gain) for score, gain in zip(scores, gains, strict=True)]

    def _first_score(self, found: float | None = None) -> float:
        """Draw what a question is worth; ``found`` items of context make it better."""
        app, treatment = self.application, self.record.user.treatment
        more = 0.0 if found is None else found - app.found_items
        mean = app.quality + app.quality_per_item * more
        mean += self.now.quality_shift + MODELS[treatment.model].quality
        spread = app.quality_sd
        if treatment.advanced_evaluation:
            mean, spread = mean + app.advanced_rubric, app.advanced_rubric_sd
        return _bounded(self.random.gauss(mean, spread))

    def _kept(self, priority: str, at: float) -> bool:
        """Look a question up in both cache layers."""
        app, name = self.application, "batch_generate"
        saved_ms = 6.0 * MODELS[self.record.user.treatment.model].first_token_ms
        at += self._seconds(app.near_ms)
        if self.random.random() < self.now.near_hits:
            self.record.hit("l1", name, priority, at, self._spread(saved_ms))
            return True
        self.record.miss("l1", name, priority, at, self._reason())
        at += self._seconds(app.far_ms)
        if self.random.random() < app.far_hits:
            self.record.hit("l2", name, priority, at, self._spread(saved_ms))
            return True
        self.record.miss("l2", name, priority, at, None)
        return False

    def _reason(self) -> MissReason:
        drawn = self.random.random()
        if drawn < self.now.evicted:
            return "evicted"
        return "expired" if drawn < self.now.evicted + self.application.expired else "cold"

    def _chat(self, name: str, priority: str, at: float, task: int, answer: int) -> float:
        """Run a node that asks the model; ``task`` tokens are what this prompt has of its own."""
        app, treatment = self.application, self.record.user.treatment
        model = MODELS[treatment.model]
        task = round((task + app.task_tokens) * self._vary(0.1)) + self.now.added_prompt_tokens
        answer = round(answer * self._vary(0.1))
        cached = self._cached()
        input_tokens = app.instruction_tokens + app.background_tokens + task
        first = model.first_token_ms * self.now.first_token_factor
        takes = first + _PREFILL_MS_PER_TOKEN * (input_tokens - cached) + model.token_ms * answer
        call = Call(app.provider, treatment.model, input_tokens, answer, cached)
        return self._model_node(name, priority, at, takes, call)

    def _cached(self) -> int:
        """Return how much of the prompt the provider has seen, where its beginning is stable."""
        app = self.application
        if not self.record.user.treatment.stable_prefix:
            return 0
        shared = app.instruction_tokens + app.background_tokens * self._prefix_used
        warm = self._prefix_used or self.random.random() < app.warm_prefix
        self._prefix_used = True
        return shared - (shared - _LEAST_CACHED) % _CACHE_STEP if warm else 0

    def _model_node(
        self, name: str, priority: str, at: float, takes_ms: float, call: Call
    ) -> float:
        """Run a node around one model call, which may fail."""
        fault, takes_ms = self._fate(takes_ms * self.now.latency_factor)
        end = at + self._seconds(takes_ms)
        after = end + self._seconds(self.application.node_ms)
        if fault is not None:
            self.record.failed_call(name, priority, at, end, call=call, fault=fault)
            self.record.node(name, priority, at, after, fault)
            raise _CallFailedError(fault, after)
        self.record.call(name, priority, at, end, call)
        self.record.node(name, priority, at, after)
        return after

    def _fate(self, takes_ms: float) -> tuple[Fault | None, float]:
        app = self.application
        if self.random.random() >= self.now.failing:
            return None, takes_ms
        if self.random.random() < self.now.limited:
            return LIMITED, app.limited_ms
        return TIMED_OUT, app.timeout_ms

    def _step(self, name: str, priority: str, at: float) -> float:
        end = at + self._seconds(self.application.node_ms)
        self.record.node(name, priority, at, end)
        return end

    def _seconds(self, median_ms: float) -> float:
        return self._spread(median_ms) / 1000

    def _spread(self, median: float) -> float:
        return median * exp(self.random.gauss(0.0, self.application.latency_sigma))

    def _vary(self, share: float) -> float:
        return self.random.uniform(1 - share, 1 + share)


def _highest(priorities: Sequence[str]) -> str:
    return next(priority for priority in THRESHOLDS if priority in priorities)


def _bounded(score: float) -> float:
    return min(max(score, 0.0), 10.0)
