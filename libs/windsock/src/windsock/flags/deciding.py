"""What users get from one flag, as closures."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from itertools import accumulate
from types import MappingProxyType
from typing import Protocol, TypeAlias

from windsock.flags.bucketing import rollout_salt, salted, split_salt, unit_text
from windsock.flags.conditions import Context, Holds, lookup_of
from windsock.flags.definition import (
    EVERYBODY,
    TARGETING_KEY,
    Flag,
    Rollout,
    Serve,
    Split,
)
from windsock.flags.results import (
    DEFAULT,
    DISABLED,
    GENERAL,
    INVALID_CONTEXT,
    SPLIT,
    STATIC,
    TARGETING_KEY_MISSING,
    TARGETING_MATCH,
    Evaluation,
    failed,
)

_whole = int.from_bytes
NOTHING: Context = MappingProxyType({})


class Evaluate(Protocol):
    """Returns what a user gets, given as targeting key, in a context. It never raises."""

    def __call__(self, unit: str | None = None, context: Context = NOTHING) -> Evaluation: ...


Decide: TypeAlias = Callable[[str | None, Context], Evaluation]


def result(flag: Flag, variant: str | None, reason: str) -> Evaluation:
    value = None if variant is None else flag.variants[variant]
    return Evaluation(flag.key, variant, value, reason)


def fixed_result(flag: Flag) -> Evaluation | None:
    """Return what everybody gets from ``flag``, if that is the same."""
    if not flag.enabled:
        return result(flag, flag.off_variant, DISABLED)
    if flag.prerequisites or flag.targets or flag.rules:
        return None
    if flag.fallthrough is None:
        return result(flag, None, DEFAULT)
    served = settled(flag, flag.fallthrough)
    return result(flag, served, STATIC) if not isinstance(served, Split | Rollout) else None


def settled(flag: Flag, serve: Serve) -> Serve | None:
    """Return ``serve`` without a rollout to nobody or to everybody; ``None`` is the caller's default."""
    if not isinstance(serve, Rollout):
        return serve
    if serve.share <= 0:
        return outside(flag, serve)
    return serve.serve if serve.share >= EVERYBODY else serve


def outside(flag: Flag, rollout: Rollout) -> str | None:
    """Return the variant of those who are not in ``rollout``."""
    return flag.off_variant if rollout.otherwise is None else rollout.otherwise


def fallthrough_reason(flag: Flag) -> str:
    return DEFAULT if flag.rules or flag.targets or flag.prerequisites else STATIC


def fallthrough(flag: Flag) -> Decide:
    if flag.fallthrough is None:
        return constant(result(flag, None, DEFAULT))
    return serve_of(flag, flag.fallthrough, fallthrough_reason(flag))


def serve_of(flag: Flag, serve: Serve, reason: str) -> Decide:
    served = settled(flag, serve)
    if served is None or isinstance(served, str):
        return constant(result(flag, served, reason))
    decide = _split(flag, served) if isinstance(served, Split) else _rollout(flag, served)
    if flag.bucket_by == TARGETING_KEY:
        return decide
    lookup = lookup_of(flag.bucket_by)
    return lambda unit, context: decide(unit_text(lookup(unit, context)), context)


def _split(flag: Flag, split: Split) -> Decide:
    shares = tuple(result(flag, variant, SPLIT) for variant in split.weights)
    ends = tuple(accumulate(split.weights.values()))
    total = ends[-1]
    begin = salted(split_salt(flag.key, flag.salt))

    # Here each call counts, so the hash is not one.
    def decide(unit: str | None, _: Context) -> Evaluation:
        if unit is None:
            return no_unit(flag)
        state = begin()
        state.update(unit.encode())
        return shares[bisect_right(ends, (_whole(state.digest(), "big") * total) >> 32)]

    return decide


def _rollout(flag: Flag, rollout: Rollout) -> Decide:
    share = rollout.share
    begin = salted(rollout_salt(flag.key, flag.rollout_salt))
    serve = rollout.serve
    inside = constant(result(flag, serve, SPLIT)) if isinstance(serve, str) else _split(flag, serve)
    out = result(flag, outside(flag, rollout), SPLIT)

    def decide(unit: str | None, context: Context) -> Evaluation:
        if unit is None:
            return no_unit(flag)
        state = begin()
        state.update(unit.encode())
        if (_whole(state.digest(), "big") * EVERYBODY) >> 32 < share:
            return inside(unit, context)
        return out

    return decide


def no_unit(flag: Flag) -> Evaluation:
    """Return what is answered if there is nothing that could be hashed."""
    if flag.bucket_by == TARGETING_KEY:
        message = "a split needs a targetingKey, which is the user_id"
        return failed(flag.key, TARGETING_KEY_MISSING, message)
    message = f"a split needs the attribute {flag.bucket_by}, as a text, a number or a boolean"
    return failed(flag.key, INVALID_CONTEXT, message)


def ruled(rules: tuple[tuple[Holds, Decide], ...], rest: Decide) -> Decide:
    if len(rules) == 1:
        [(holds, serve)] = rules
        return lambda unit, context: (serve if holds(unit, context) else rest)(unit, context)

    def decide(unit: str | None, context: Context) -> Evaluation:
        for holds, serve in rules:
            if holds(unit, context):
                return serve(unit, context)
        return rest(unit, context)

    return decide


def targeted(flag: Flag, rest: Decide) -> Decide:
    # Of two targets with the same key the first counts.
    targets: dict[str | None, Evaluation] = {
        key: result(flag, target.variant, TARGETING_MATCH)
        for target in reversed(flag.targets)
        for key in target.keys
    }

    def decide(unit: str | None, context: Context) -> Evaluation:
        found = targets.get(unit)
        return rest(unit, context) if found is None else found

    return decide


def constant(same: Evaluation) -> Evaluate:
    return lambda unit=None, context=NOTHING: same


def guarded(key: str, decide: Decide) -> Evaluate:
    def evaluate(unit: str | None = None, context: Context = NOTHING) -> Evaluation:
        try:
            return decide(unit, context)
        # A context is made by others, and any of its values may raise whatever it likes.
        except Exception as error:  # noqa: BLE001
            return raised(key, error)

    return evaluate


def raised(key: str, error: Exception) -> Evaluation:
    """Return what is answered when the evaluation fails over what is in a context."""
    if isinstance(error, UnicodeEncodeError):
        return failed(key, INVALID_CONTEXT, "the text that is hashed is no Unicode")
    return failed(key, GENERAL, f"{type(error).__name__} while evaluating")
