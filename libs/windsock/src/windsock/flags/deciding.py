"""What users get from one flag, as closures."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from itertools import accumulate
from types import MappingProxyType
from typing import Protocol, TypeAlias

from windsock.flags.bucketing import hasher, is_in, rollout_salt, split_salt, unit_text
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
    return _bucketed(flag, _by_unit(flag, served))


def _by_unit(flag: Flag, serve: Serve) -> Callable[[str], Evaluation]:
    """Return who gets what, by the text that is hashed."""
    if isinstance(serve, str):
        same = result(flag, serve, SPLIT)
        return lambda _: same
    if isinstance(serve, Split):
        return _split(flag, serve)
    share = serve.share
    hashed = hasher(rollout_salt(flag.key, flag.rollout_salt))
    inside = _by_unit(flag, serve.serve)
    out = result(flag, outside(flag, serve), SPLIT)
    return lambda unit: inside(unit) if is_in(hashed(unit), share) else out


def _split(flag: Flag, split: Split) -> Callable[[str], Evaluation]:
    shares = tuple(result(flag, variant, SPLIT) for variant in split.weights)
    ends = tuple(accumulate(split.weights.values()))
    total = ends[-1]
    hashed = hasher(split_salt(flag.key, flag.salt))
    return lambda unit: shares[bisect_right(ends, (hashed(unit) * total) >> 32)]


def _bucketed(flag: Flag, by_unit: Callable[[str], Evaluation]) -> Decide:
    name = flag.bucket_by
    missing = no_unit(flag)
    if name == TARGETING_KEY:
        return lambda unit, _: missing if unit is None else by_unit(unit)
    lookup = lookup_of(name)

    def decide(unit: str | None, context: Context) -> Evaluation:
        text = unit_text(lookup(unit, context))
        return missing if text is None else by_unit(text)

    return decide


def no_unit(flag: Flag) -> Evaluation:
    """Return what is answered if there is nothing that could be hashed."""
    if flag.bucket_by == TARGETING_KEY:
        message = "a split needs a user_id, given or ambient"
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
