"""Why a user gets a variant: the flag gone through step by step, for people to see."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any as AnyType

from windsock.fields import describe
from windsock.flags.bucketing import (
    bucket,
    hash32,
    is_in,
    place,
    rollout_salt,
    split_salt,
    unit_text,
)
from windsock.flags.conditions import CompiledSegment, Context, lookup_of, test_of
from windsock.flags.deciding import (
    NOTHING,
    fallthrough_reason,
    no_unit,
    outside,
    raised,
    result,
    settled,
)
from windsock.flags.definition import (
    EVERYBODY,
    TARGETING_KEY,
    All,
    Any,
    Clause,
    Condition,
    Flag,
    InSegment,
    Prerequisite,
    Rollout,
    Serve,
    Split,
)
from windsock.flags.evaluation import CompiledFlag
from windsock.flags.results import (
    DEFAULT,
    DISABLED,
    FLAG_NOT_FOUND,
    SPLIT,
    TARGETING_MATCH,
    Evaluation,
    failed,
)
from windsock.flags.writing import Document, clause_document, serve_document

# As many of a condition's values are shown, and characters of an attribute.
MAX_SHOWN_VALUES = 20
MAX_SHOWN_TEXT = 1_000


@dataclass(frozen=True, slots=True)
class Explanation:
    """What an evaluation gives, and what was looked at for it, in its order.

    Each step names what it is (``enabled``, ``prerequisite``, ``targets``, ``rule``,
    ``fallthrough`` or ``error``) and whether it ``held``, which for ``enabled`` and
    ``prerequisite`` means to go on, and for the others that they decide.
    """

    evaluation: Evaluation
    steps: tuple[Document, ...]

    def document(self) -> Document:
        """Return all of it as JSON has it."""
        found = self.evaluation
        written: Document = {"flag": found.flag_key, "variant": found.variant}
        if found.variant is not None:
            written["value"] = found.value
        written["reason"] = found.reason
        if found.error_code is not None:
            written["error_code"] = found.error_code
            written["error_message"] = found.error_message
        written["steps"] = list(self.steps)
        return written


def explain(
    flags: Mapping[str, CompiledFlag],
    key: str,
    unit: str | None = None,
    context: Context = NOTHING,
) -> Explanation:
    """Return what the flag's evaluation does, and why. It never raises."""
    compiled = flags.get(key)
    if compiled is None:
        return Explanation(failed(key, FLAG_NOT_FOUND, "there is no such flag"), ())
    return _Walk(compiled, unit, context).explained()


class _Walk:
    """Goes through one flag for one user."""

    def __init__(self, compiled: CompiledFlag, unit: str | None, context: Context) -> None:
        self._compiled = compiled
        self._flag: Flag = compiled.flag
        self._unit = unit
        self._context = context
        self._steps: list[Document] = []

    def explained(self) -> Explanation:
        try:
            found = self._evaluation()
        # As in the evaluation, whose answer this explains.
        except Exception as error:  # noqa: BLE001
            found = raised(self._flag.key, error)
            self._note("error", held=True, message=found.error_message)
        return Explanation(found, tuple(self._steps))

    def _evaluation(self) -> Evaluation:
        flag = self._flag
        self._note("enabled", held=flag.enabled)
        if not flag.enabled:
            return result(flag, flag.off_variant, DISABLED)
        if self._compiled.problem:
            self._note("error", held=True, message=self._compiled.problem)
            assert self._compiled.fixed is not None
            return self._compiled.fixed
        for prerequisite in flag.prerequisites:
            if not self._is_met(prerequisite):
                return result(flag, flag.off_variant, DISABLED)
        return self._targeted() or self._ruled() or self._fallthrough()

    def _is_met(self, prerequisite: Prerequisite) -> bool:
        other = self._compiled.required.get(prerequisite.flag)
        wanted = sorted(prerequisite.variants)
        if other is None:
            self._note("prerequisite", held=False, flag=prerequisite.flag, wanted=wanted)
            return False
        why = _Walk(other, self._unit, self._context).explained()
        held = why.evaluation.variant in prerequisite.variants
        self._note("prerequisite", held=held, wanted=wanted, **why.document())
        return held

    def _targeted(self) -> Evaluation | None:
        if not self._flag.targets:
            return None
        variants = (target.variant for target in self._flag.targets if self._unit in target.keys)
        variant = next(variants, None)
        self._note("targets", held=variant is not None, targeting_key=_shown(self._unit))
        return None if variant is None else result(self._flag, variant, TARGETING_MATCH)

    def _ruled(self) -> Evaluation | None:
        for index, rule in enumerate(self._flag.rules):
            when = self._traced(rule.when, self._compiled.segments)
            named = {"name": rule.name} if rule.name else {}
            self._note("rule", held=when["held"], index=index, **named, when=when)
            if when["held"]:
                return self._served(rule.serve, TARGETING_MATCH)
        return None

    def _fallthrough(self) -> Evaluation:
        self._note("fallthrough", held=True)
        if self._flag.fallthrough is None:
            return result(self._flag, None, DEFAULT)
        return self._served(self._flag.fallthrough, fallthrough_reason(self._flag))

    def _served(self, serve: Serve, reason: str) -> Evaluation:
        flag, step = self._flag, self._steps[-1]
        step["serve"] = serve_document(serve)
        served = settled(flag, serve)
        if served is None or isinstance(served, str):
            return result(flag, served, reason)
        unit = self._unit
        if flag.bucket_by != TARGETING_KEY:
            unit = unit_text(lookup_of(flag.bucket_by)(unit, self._context))
        step["bucket_by"] = {"attribute": flag.bucket_by, "unit": _shown(unit)}
        if unit is None:
            return no_unit(flag)
        return result(flag, self._placed(served, unit, step), SPLIT)

    def _placed(self, serve: Serve, unit: str, step: Document) -> str | None:
        flag = self._flag
        if isinstance(serve, str):
            return serve
        if isinstance(serve, Rollout):
            salt = rollout_salt(flag.key, flag.rollout_salt)
            hashed = hash32(salt + ":" + unit)
            held = is_in(hashed, serve.share)
            step["rollout"] = {
                **_numbers(salt, hashed, EVERYBODY),
                "share": serve.share,
                "held": held,
            }
            return self._placed(serve.serve, unit, step) if held else outside(flag, serve)
        return self._split(serve, unit, step)

    def _split(self, split: Split, unit: str, step: Document) -> str:
        salt = split_salt(self._flag.key, self._flag.salt)
        hashed, total = hash32(salt + ":" + unit), sum(split.weights.values())
        variant = place(split.weights, bucket(hashed, total))
        step["split"] = {**_numbers(salt, hashed, total), "variant": variant}
        return variant

    def _traced(self, clause: Clause, segments: Mapping[str, CompiledSegment]) -> Document:
        """Return the clause as JSON with whether it ``held``; what need not be asked is left out."""
        if isinstance(clause, Condition):
            return self._condition(clause)
        if isinstance(clause, InSegment):
            return self._segment(segments[clause.segment])
        if not isinstance(clause, All | Any):
            inner = self._traced(clause.clause, segments)
            return {"not": inner, "held": not inner["held"]}
        decisive = isinstance(clause, Any)
        traced = []
        for each in clause.clauses:
            traced.append(self._traced(each, segments))
            if traced[-1]["held"] is decisive:
                return {"any" if decisive else "all": traced, "held": decisive}
        return {"any" if decisive else "all": traced, "held": not decisive}

    def _condition(self, condition: Condition) -> Document:
        found = lookup_of(condition.attribute)(self._unit, self._context)
        held = test_of(condition)(found) is not condition.negate
        written = clause_document(condition)
        if len(condition.values) > MAX_SHOWN_VALUES:
            written["values"] = written["values"][:MAX_SHOWN_VALUES]
            written["more_values"] = len(condition.values) - MAX_SHOWN_VALUES
        return {**written, "found": _shown(found), "held": held}

    def _segment(self, compiled: CompiledSegment) -> Document:
        segment = compiled.segment
        written: Document = {"segment": segment.key}
        if self._unit in segment.excluded:
            return {**written, "by": "excluded", "held": False}
        if self._unit in segment.included:
            return {**written, "by": "included", "held": True}
        if segment.when is None:
            return {**written, "held": False}
        when = self._traced(segment.when, compiled.nested)
        return {**written, "by": "when", "when": when, "held": when["held"]}

    def _note(self, step: str, *, held: bool, **details: object) -> None:
        self._steps.append({"step": step, "held": held, **details})


def _numbers(salt: str, hashed: int, total: int) -> Document:
    return {"salt": salt, "hash": hashed, "bucket": bucket(hashed, total), "of": total}


def _shown(value: AnyType) -> AnyType:
    """Return ``value`` as far as JSON can have it and people want to see it."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, float) and math.isfinite(value):
        return float(value)
    if isinstance(value, int) and value.bit_length() <= 53:
        return int(value)
    text = value if type(value) is str else describe(value)
    return text[:MAX_SHOWN_TEXT].encode("utf-8", "replace").decode()
