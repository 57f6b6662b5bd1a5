"""Flags as JSON: what reading reads, without what is the default."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any as AnyType

from windsock.flags.definition import (
    TARGETING_KEY,
    All,
    Any,
    Clause,
    Condition,
    Flag,
    FlagSet,
    InSegment,
    Prerequisite,
    Rollout,
    Rule,
    Segment,
    Serve,
    Split,
    Target,
)
from windsock.flags.operators import EXISTS

Document = dict[str, AnyType]


def document(flags: FlagSet) -> Document:
    """Return the whole as a flags file has it."""
    return {
        "flags": [flag_document(flag) for flag in flags.flags.values()],
        "segments": [segment_document(segment) for segment in flags.segments.values()],
    }


def flag_document(flag: Flag) -> Document:
    written: Document = {
        "key": flag.key,
        "type": flag.type,
        "variants": dict(flag.variants),
        "enabled": flag.enabled,
    }
    if flag.off_variant is not None:
        written["off_variant"] = flag.off_variant
    if flag.fallthrough is not None:
        written["fallthrough"] = serve_document(flag.fallthrough)
    lists = {
        "prerequisites": [prerequisite_document(each) for each in flag.prerequisites],
        "targets": [target_document(each) for each in flag.targets],
        "rules": [rule_document(each) for each in flag.rules],
    }
    written.update((name, each) for name, each in lists.items() if each)
    if flag.salt is not None:
        written["salt"] = flag.salt
    if flag.rollout_salt is not None:
        written["rollout_salt"] = flag.rollout_salt
    if flag.bucket_by != TARGETING_KEY:
        written["bucket_by"] = flag.bucket_by
    return written


def segment_document(segment: Segment) -> Document:
    written: Document = {"key": segment.key}
    if segment.description:
        written["description"] = segment.description
    if segment.included:
        written["included"] = sorted(segment.included)
    if segment.excluded:
        written["excluded"] = sorted(segment.excluded)
    if segment.when is not None:
        written["when"] = clause_document(segment.when)
    return written


def prerequisite_document(prerequisite: Prerequisite) -> Document:
    return {"flag": prerequisite.flag, "variants": sorted(prerequisite.variants)}


def target_document(target: Target) -> Document:
    return {"variant": target.variant, "keys": sorted(target.keys)}


def rule_document(rule: Rule) -> Document:
    named = {"name": rule.name} if rule.name else {}
    return {**named, "when": clause_document(rule.when), "serve": serve_document(rule.serve)}


def clause_document(clause: Clause) -> Document:
    if isinstance(clause, Condition):
        return _condition_document(clause)
    if isinstance(clause, InSegment):
        return {"segment": clause.segment}
    if isinstance(clause, All):
        return {"all": [clause_document(each) for each in clause.clauses]}
    if isinstance(clause, Any):
        return {"any": [clause_document(each) for each in clause.clauses]}
    return {"not": clause_document(clause.clause)}


def _condition_document(condition: Condition) -> Document:
    written: Document = {"attribute": condition.attribute, "operator": condition.operator}
    if len(condition.values) == 1:
        written["value"] = condition.values[0]
    elif condition.operator != EXISTS:
        written["values"] = list(condition.values)
    if condition.negate:
        written["negate"] = True
    if condition.ignore_case:
        written["ignore_case"] = True
    return written


def serve_document(serve: Serve) -> Document:
    if not isinstance(serve, Rollout):
        return _direct_document(serve)
    rollout = {"percentage": percentage_of(serve.share), **_direct_document(serve.serve)}
    if serve.otherwise is not None:
        rollout["otherwise"] = serve.otherwise
    return {"rollout": rollout}


def percentage_of(share: int) -> float:
    """Return thousandths of a percent as a percentage, whole where it is whole."""
    return share / 1000 if share % 1000 else share // 1000


def _direct_document(serve: str | Split) -> Document:
    if isinstance(serve, str):
        return {"variant": serve}
    weights: Mapping[str, int] = serve.weights
    return {"split": dict(weights)}
