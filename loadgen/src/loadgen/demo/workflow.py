"""The reference workload's graph, walked through without running it: who calls what, in which order.

Nothing here waits or asks a model. What takes time is drawn, what a flag changes is done otherwise,
as in the workload itself, and each step is recorded as the SDK records it there.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from loadgen.demo.application import (
    FIXED_THRESHOLD,
    MODELS,
    MOST_SHARED,
    SEPARATE_RUNS,
    THRESHOLDS,
    Application,
)
from loadgen.demo.chance import Chance
from loadgen.demo.events import NOTHING, MissReason
from loadgen.demo.provider import CallFailedError, Provider
from loadgen.demo.recorder import Fault, Recorder
from loadgen.demo.story import Conditions

_IMPORTANT = frozenset({"CRITICAL", "HIGH"})

DEEP_DIVE = "generate_deep_dive_prompts_node_async"
EVALUATE = "evaluate_quality_node_async"
REFINE = "refine_answer_node_async"


@dataclass(frozen=True, slots=True)
class Outcome:
    """When a request or run was over, and why it failed if it did."""

    at: float
    fault: Fault | None = None


class Workflow:
    """One request. Times go in and come out as Unix seconds."""

    def __init__(
        self, application: Application, now: Conditions, record: Recorder, chance: Chance
    ) -> None:
        self._application = application
        self._now = now
        self._record = record
        self._chance = chance
        self._treatment = record.user.treatment
        self._provider = Provider(application, now, record, chance)

    def generate(self, at: float, gaps: Sequence[str]) -> Outcome:
        """Answer gaps of these priorities; it fails if there is an answer to none."""
        top = _highest(gaps)
        at = self._step("start", top, at)
        began = self._step("parse_gap", top, at)
        missing = [gap for gap in gaps if not self._kept(gap, began)]
        runs = self._all_runs(missing, began)
        done = max((run.at for run in runs), default=began + self._chance.seconds(1.0))
        self._record.node("batch_generate", top, began, done)
        done = self._step("finalize", top, done)
        faults = [run.fault for run in runs if run.fault is not None]
        in_vain = len(missing) == len(gaps) and len(faults) == len(runs)
        return Outcome(done, faults[0] if in_vain else None)

    def evaluate(self, at: float, priority: str) -> Outcome:
        """Judge a question that the user brought."""
        at = self._step("start", priority, at)
        try:
            at, _ = self._judge(priority, at, [self._first_score()], "on_request")
        except CallFailedError as failed:
            return Outcome(failed.at, failed.fault)
        return Outcome(self._step("finalize", priority, at))

    def refine(self, at: float, priority: str) -> Outcome:
        """Improve a question that the user brought."""
        at = self._step("start", priority, at)
        try:
            at, scores = self._improve(priority, at, [self._first_score()])
            at, _ = self._judge(priority, at, scores, "on_request")
        except CallFailedError as failed:
            return Outcome(failed.at, failed.fault)
        return Outcome(self._step("finalize", priority, at))

    def _all_runs(self, gaps: Sequence[str], at: float) -> list[Outcome]:
        if self._treatment.shared_calls:
            groups = [[gap for gap in gaps if gap == priority] for priority in THRESHOLDS]
            return [
                self._run(group[start : start + MOST_SHARED], at)
                for group in groups
                for start in range(0, len(group), MOST_SHARED)
            ]
        lanes = [at] * SEPARATE_RUNS
        runs = []
        for gap in gaps:
            lane = lanes.index(min(lanes))
            runs.append(self._run([gap], lanes[lane]))
            lanes[lane] = runs[-1].at
        return runs

    def _run(self, gaps: Sequence[str], at: float) -> Outcome:
        """Make new questions for gaps of one priority; a failure ends this run and no other."""
        priority = gaps[0]
        self._record.attributes = self._record.user.attributes[len(gaps)]
        try:
            at = self._embed(priority, at, len(gaps))
            at, found = self._search(priority, at, len(gaps))
            at = self._deep_dive(priority, at, len(gaps))
            at = self._write(priority, at, len(gaps), found)
            scores = [self._first_score(found / len(gaps)) for _ in gaps]
            at, accepted = self._judge(priority, at, scores, "first_pass")
            poor = [score for score, good in zip(scores, accepted, strict=True) if not good]
            if poor:
                at, better = self._improve(priority, at, poor)
                at, _ = self._judge(priority, at, better, "after_refinement")
        except CallFailedError as failed:
            return Outcome(failed.at, failed.fault)
        finally:
            self._record.attributes = NOTHING
        return Outcome(at)

    def _embed(self, priority: str, at: float, gaps: int) -> float:
        name = "embed_gap"
        return self._node(
            name, priority, at, lambda start: self._provider.embed(name, priority, start, gaps)
        )

    def _search(self, priority: str, at: float, gaps: int) -> tuple[float, float]:
        """Search twice; return when that is done, and how many items were found for all gaps."""
        app, treatment = self._application, self._treatment
        first = self._one_search("search_similar_questions", priority, at, gaps)
        begin = at if treatment.parallel_searches else first
        name = "search_learning_resources_node_async"
        second = self._one_search(name, priority, begin, gaps)
        found = app.found_items
        found += app.found_more_relaxed * treatment.relaxed_search
        found += app.found_more_newer * (treatment.embedding_model == "text-embedding-005")
        return max(first, second), found * gaps * self._chance.vary(0.2)

    def _one_search(self, name: str, priority: str, at: float, gaps: int) -> float:
        def search(start: float) -> float:
            asked = self._provider.embed(name, priority, start, gaps)
            end = asked + self._chance.seconds(self._application.search_ms)
            self._record.node("vector_search", priority, asked, end)
            return end

        return self._node(name, priority, at, search)

    def _deep_dive(self, priority: str, at: float, gaps: int) -> float:
        if self._treatment.cards and priority not in _IMPORTANT:
            return at
        app = self._application
        task, answer = gaps * app.gap_tokens, gaps * app.deep_dive_tokens
        return self._chat(DEEP_DIVE, priority, at, task, answer)

    def _write(self, priority: str, at: float, gaps: int, found: float) -> float:
        app = self._application
        task = gaps * app.gap_tokens + round(found * app.item_tokens)
        return self._chat("generate_question", priority, at, task, gaps * app.question_tokens)

    def _judge(
        self, priority: str, at: float, scores: Sequence[float], stage: str
    ) -> tuple[float, list[bool]]:
        """Have questions judged, and record what is said of each."""
        app, treatment = self._application, self._treatment
        rubric, tokens = "standard_rubric", app.evaluation_tokens
        if treatment.advanced_evaluation:
            rubric, tokens = "advanced_rubric", app.advanced_evaluation_tokens
        count = len(scores)
        end = self._chat(EVALUATE, priority, at, count * app.judged_tokens, count * tokens)
        wanted = THRESHOLDS[priority] if treatment.dynamic_thresholds else FIXED_THRESHOLD
        accepted = [score >= wanted for score in scores]
        for score, good in zip(scores, accepted, strict=True):
            self._record.judgement(
                EVALUATE,
                priority,
                end,
                score,
                evaluator=f"{stage}:{rubric}",
                accepted=good if stage == "first_pass" else None,
            )
        return end, accepted

    def _improve(
        self, priority: str, at: float, scores: Sequence[float]
    ) -> tuple[float, list[float]]:
        app = self._application
        count = len(scores)
        task, answer = count * app.judged_tokens, count * app.question_tokens
        end = self._chat(REFINE, priority, at, task, answer)
        return end, [self._chance.score(score + app.refined_gain, 0.3) for score in scores]

    def _first_score(self, found: float | None = None) -> float:
        """Draw what a question is worth; ``found`` items of context make it better."""
        app = self._application
        more = 0.0 if found is None else found - app.found_items
        mean = app.quality + app.quality_per_item * more
        mean += self._now.quality_shift + MODELS[self._treatment.model].quality
        if self._treatment.advanced_evaluation:
            return self._chance.score(mean + app.advanced_rubric, app.advanced_rubric_sd)
        return self._chance.score(mean, app.quality_sd)

    def _kept(self, priority: str, at: float) -> bool:
        """Look a question up in both cache layers."""
        app, name = self._application, "batch_generate"
        saved_ms = self._chance.spread(app.saved_ms)
        if self._chance.happens(self._now.near_hits):
            self._record.hit("l1", name, priority, at, saved_ms)
            return True
        self._record.miss("l1", name, priority, at, self._reason())
        at += self._chance.seconds(app.far_ms)
        if self._chance.happens(app.far_hits):
            self._record.hit("l2", name, priority, at, saved_ms)
            return True
        self._record.miss("l2", name, priority, at, "cold")
        return False

    def _reason(self) -> MissReason:
        evicted = self._now.evicted
        drawn = self._chance.random.random()
        if drawn < evicted:
            return "evicted"
        return "expired" if drawn < evicted + (1 - evicted) * self._application.expired else "cold"

    def _chat(self, name: str, priority: str, at: float, task: int, answer: int) -> float:
        return self._node(
            name,
            priority,
            at,
            lambda start: self._provider.chat(name, priority, start, task, answer),
        )

    def _step(self, name: str, priority: str, at: float) -> float:
        return self._node(name, priority, at, lambda start: start)

    def _node(self, name: str, priority: str, at: float, work: Callable[[float], float]) -> float:
        """Run a node around ``work``, which takes a time and gives one."""
        own = self._chance.seconds(self._application.node_ms)
        try:
            end = work(at) + own
        except CallFailedError as failed:
            failed.at += own
            self._record.node(name, priority, at, failed.at, failed.fault)
            raise
        self._record.node(name, priority, at, end)
        return end


def _highest(priorities: Sequence[str]) -> str:
    return next(priority for priority in THRESHOLDS if priority in priorities)
