"""A value that fits a JSON schema, for prompts that ask for one without a task."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llm_simulator.domain.draw import Draws

_WORDS = ("simple", "clear", "small", "steady", "useful", "careful", "plain", "ready")
_MAX_DEPTH = 16


def instance(schema: Mapping[str, Any], draws: Draws, about: str) -> Any:
    """Return a value of ``schema``: of the keywords that OpenAI's strict mode takes, those that fix a shape.

    A schema that refers to itself ends in nulls below sixteen levels.
    """
    return _Maker(schema, draws, about).value(schema, "$", 0)


class _Maker:
    def __init__(self, root: Mapping[str, Any], draws: Draws, about: str) -> None:
        self._root = root
        self._draws = draws
        self._about = about

    def value(self, schema: Any, path: str, depth: int) -> Any:
        schema = self._resolved(schema)
        if depth > _MAX_DEPTH:
            return None
        if "const" in schema:
            return schema["const"]
        if schema.get("enum"):
            return self._draws.choice(schema["enum"], self._about, path)
        if schema.get("anyOf"):
            return self.value(schema["anyOf"][0], path, depth + 1)
        kind = schema.get("type", "object" if "properties" in schema else "string")
        kind = kind[0] if isinstance(kind, list) else kind
        if kind == "object":
            properties = schema.get("properties", {})
            return {
                name: self.value(inner, f"{path}.{name}", depth + 1)
                for name, inner in properties.items()
            }
        if kind == "array":
            length = min(max(1, schema.get("minItems", 2)), schema.get("maxItems", 2**10))
            inner = schema.get("items", {})
            return [self.value(inner, f"{path}[{i}]", depth + 1) for i in range(length)]
        return self._scalar(kind, schema, path)

    def _scalar(self, kind: str, schema: Mapping[str, Any], path: str) -> Any:
        if kind in {"integer", "number"}:
            least = schema.get("minimum", 0)
            drawn = least + self._draws.uniform(self._about, path) * (
                schema.get("maximum", least + 10) - least
            )
            return int(drawn) if kind == "integer" else round(drawn, 2)
        if kind == "boolean":
            return self._draws.happens(0.5, self._about, path)
        if kind == "null":
            return None
        return " ".join(self._draws.order(_WORDS, self._about, path)[:3])

    def _resolved(self, schema: Any) -> Mapping[str, Any]:
        for _ in range(_MAX_DEPTH):
            if not isinstance(schema, Mapping):
                return {}
            if "$ref" not in schema:
                return schema
            found: Any = self._root
            for name in str(schema["$ref"]).removeprefix("#").split("/")[1:]:
                found = found.get(name) if isinstance(found, Mapping) else None
            schema = found
        return {}
