"""Unleash's exports, and what its servers tell SDKs (https://docs.getunleash.io), as flags of ours."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence

from flags_svc.conversion.outcome import (
    Bucketing,
    CannotCarryError,
    Clause,
    Converted,
    Document,
    Note,
    list_at,
    object_at,
    objects_at,
)
from flags_svc.conversion.unleash_strategies import Strategy, constraint_of, strategy_of
from flags_svc.conversion.unleash_variants import DISABLED, Variants
from flags_svc.domain.bulk import Given
from flags_svc.domain.documents import segment_of
from flags_svc.domain.fields import check_plain
from windsock_kit.errors import InvalidError

_KINDS = {
    "release": "rollout",
    "experiment": "experimental",
    "operational": "operational",
    "kill-switch": "operational",
    "permission": "permission",
}
# Switches and permissions are there to stay.
_LASTING = {"kill-switch", "permission"}
Rows = dict[str, list[Document]]


def read(value: object, environment: str) -> Converted:
    """Return the features of an export as they are in ``environment``; raises ``InvalidError`` if it is none.

    An export is of one environment of Unleash's, whatever that is called there.
    """
    check_plain(value, "")
    given = object_at(value, "")
    if "features" not in given:
        raise InvalidError("features is missing: this is no export of Unleash's", path="features")
    converted = Converted()
    segments = _segments(given, converted)
    features = _features(given)
    parents = {str(each.get("name")): each for each in features}
    for number, feature in enumerate(features):
        path = f"features[{number}]"
        key = feature.get("name")
        if not isinstance(key, str):
            raise InvalidError("must be a text", path=f"{path}.name")

        def convert(
            different: list[str], feature: Document = feature, path: str = path
        ) -> Document:
            return _Feature(feature, path, segments, different).document(environment, parents)

        converted.take(key, path, convert)
    converted.drop_those_that_miss_others()
    return converted


def _features(given: Document) -> list[Document]:
    """Return the features, each with what an export keeps beside it."""
    features = objects_at(given["features"], "features")
    strategies = _by(given, "featureStrategies", "featureName")
    environments = _by(given, "featureEnvironments", "featureName")
    tags = _by(given, "featureTags", "featureName")
    needs = _by(given, "dependencies", "feature")
    return [_joined(each, strategies, environments, tags, needs) for each in features]


def _joined(
    feature: Document, strategies: Rows, environments: Rows, tags: Rows, needs: Rows
) -> Document:
    name = str(feature.get("name"))
    found = dict(feature)
    if name in environments:
        where = environments[name][0]
        found["enabled"] = where.get("enabled", False)
        found["variants"] = where.get("variants") or feature.get("variants") or []
    if name in strategies:
        found["strategies"] = sorted(
            strategies[name], key=lambda each: _number(each.get("sortOrder"))
        )
    if name in tags:
        found["tags"] = [each.get("tagValue") for each in tags[name]]
    if name in needs:
        found["dependencies"] = [
            each
            for row in needs[name]
            for each in objects_at(row.get("dependencies"), "dependencies")
        ]
    return found


def _number(value: object) -> float:
    return value if isinstance(value, int | float) else 0


def _by(given: Document, name: str, member: str) -> Rows:
    found: Rows = {}
    for row in objects_at(given.get(name), name):
        found.setdefault(str(row.get(member)), []).append(row)
    return found


def _segments(given: Document, converted: Converted) -> Mapping[int, str]:
    """Take the segments; return their keys by their numbers."""
    keys: dict[int, str] = {}
    taken: Counter[str] = Counter()
    for number, row in enumerate(objects_at(given.get("segments"), "segments")):
        path = f"segments[{number}]"
        identity = row.get("id")
        if not isinstance(identity, int):
            raise InvalidError("must be a whole number", path=f"{path}.id")
        key = re.sub(r"[^A-Za-z0-9_.-]+", "-", str(row.get("name", ""))).strip("-._")[:100]
        key = key or f"segment-{identity}"
        taken[key] += 1
        key = key if taken[key] == 1 else f"{key}-{identity}"
        different: list[str] = []
        try:
            clauses = [
                constraint_of(constraint, f"{path}.constraints[{place}]", different)
                for place, constraint in enumerate(list_at(row.get("constraints"), path))
            ]
            segment = segment_of(
                {
                    "key": key,
                    "description": str(row.get("description") or "")[:2_000],
                    "when": {"all": clauses},
                }
            )
        except (CannotCarryError, InvalidError) as error:
            # Flags that ask for it are left out, and say why.
            converted.leave_out(error.path or path, f"segment {key}", error.detail)
            continue
        keys[identity] = key
        converted.given.append(Given(segment, path))
        converted.notes += [Note(path, f"segment {key}", each) for each in dict.fromkeys(different)]
    return keys


class _Feature:
    """One feature on its way."""

    def __init__(
        self, given: Document, path: str, segments: Mapping[int, str], different: list[str]
    ) -> None:
        self._given = given
        self._path = path
        self._segments = segments
        self._different = different
        self._bucketing = Bucketing()

    def document(self, environment: str, parents: Mapping[str, Document]) -> Document:
        strategies = self._strategies()
        # Without any, whoever asks gets the feature.
        variants = Variants(self._given, strategies, self._path, self._bucketing)
        type_ = str(self._given.get("type") or "release")
        found: Document = {
            "type": variants.type,
            "variants": variants.values,
            "default_variant": variants.on,
            "off_variant": variants.off,
            "kind": _KINDS.get(type_, "rollout"),
            "description": str(self._given.get("description") or "")[:2_000],
            "tags": [
                str(each)[:100] for each in list_at(self._given.get("tags"), self._path) if each
            ],
            "archived": bool(self._given.get("archived")),
            "prerequisites": self._prerequisites(parents),
            "environments": {
                environment: {
                    "enabled": bool(self._given.get("enabled")),
                    **variants.served(strategies),
                }
            },
            **self._bucketing.document(),
        }
        if type_ in _LASTING:
            found["lifetime_days"] = None
        self._different += variants.different
        return found

    def _strategies(self) -> list[Strategy]:
        return [
            strategy_of(
                each,
                f"{self._path}.strategies[{number}]",
                self._segments,
                self._bucketing,
                self._different,
            )
            for number, each in _asked(self._given, self._path)
        ]

    def _prerequisites(self, parents: Mapping[str, Document]) -> Sequence[Clause]:
        given = objects_at(self._given.get("dependencies"), f"{self._path}.dependencies")
        return [
            self._prerequisite(row, parents, f"{self._path}.dependencies[{number}]")
            for number, row in enumerate(given)
        ]

    def _prerequisite(self, row: Document, parents: Mapping[str, Document], path: str) -> Clause:
        """Return what another feature must give; of one that is not here, it has no variants."""
        name = row.get("feature")
        parent = parents.get(name, {}) if isinstance(name, str) else {}
        if parent.get("dependencies"):
            raise CannotCarryError(path, "a feature that depends on others can have none below it")
        names = _variants_of(parent, path)
        on, off = names or ["on"], DISABLED if names else "off"
        wanted = list_at(row.get("variants"), f"{path}.variants")
        if row.get("enabled") is False:
            on = [off]
        elif wanted and (names or wanted != [DISABLED]):
            on = [each for each in on if each in wanted]
        if not on:
            raise CannotCarryError(f"{path}.variants", "the other feature has none of them")
        return {"flag": name, "variants": on}


def _asked(feature: Document, path: str) -> list[tuple[int, Document]]:
    """Return the strategies that are in use, with their places."""
    given = objects_at(feature.get("strategies"), f"{path}.strategies")
    return [(number, each) for number, each in enumerate(given) if not each.get("disabled")]


def _variants_of(feature: Document, path: str) -> list[str]:
    """Return the names of the variants that a feature gives, of which it may have none."""
    given = objects_at(feature.get("variants"), path)
    for _, strategy in _asked(feature, path):
        given = [*given, *objects_at(strategy.get("variants"), path)]
    return list(dict.fromkeys(str(each.get("name")) for each in given))
