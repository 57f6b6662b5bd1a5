"""The forms that answers are asked for in, and read by, strictly."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Annotated, Final, Generic, Literal, TypeVar

import msgspec
from openai.types.shared_params import ResponseFormatJSONSchema
from openai.types.shared_params.response_format_json_schema import JSONSchema

from adaptive_questions.domain.choices import Rubric
from adaptive_questions.domain.result import BadAnswerError

Mark = Annotated[float, msgspec.Meta(ge=0, le=10)]
# OpenAI's strict mode asks for a type beside the values.
Difficulty = Annotated[
    Literal["easy", "medium", "hard"], msgspec.Meta(extra_json_schema={"type": "string"})
]


class Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The part of an answer that belongs to one entry of the task."""

    id: str


class WrittenQuestion(Part, frozen=True):
    skill: str
    question: str
    difficulty: Difficulty
    expected_points: list[str]
    follow_up: str

    def __post_init__(self) -> None:
        if not self.question.strip():
            raise ValueError("the question is empty")


class WrittenPrompts(Part, frozen=True):
    prompts: list[str]


class Criteria(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    relevance: Mark
    clarity: Mark
    depth: Mark


class AdvancedCriteria(Criteria, frozen=True):
    fairness: Mark
    specificity: Mark


class Judgement(Part, frozen=True):
    score: Mark
    feedback: str
    criteria: Criteria


class AdvancedJudgement(Judgement, frozen=True):
    criteria: AdvancedCriteria


P = TypeVar("P", bound=Part)


class Form(Generic[P]):
    """An object whose one member, ``name``, lists a part for each id of the task."""

    def __init__(self, name: str, part: type[P]) -> None:
        self.name = name
        self.response_format = _response_format(name, part)
        self._decoder = msgspec.json.Decoder(dict[str, list[part]])  # type: ignore[valid-type]  # Known here only.

    def read(self, text: str, ids: Sequence[str]) -> list[P]:
        """Return the parts in the order of ``ids``; raises ``BadAnswerError``."""
        try:
            answer: Mapping[str, list[P]] = self._decoder.decode(text)
        except msgspec.DecodeError as error:
            raise BadAnswerError(f"the model's answer cannot be read: {error}") from error
        if list(answer) != [self.name]:
            raise BadAnswerError(f"the model's answer has other members than {self.name}")
        parts = {part.id: part for part in answer[self.name]}
        if sorted(part.id for part in answer[self.name]) != sorted(ids):
            raise BadAnswerError("the model's answer has not one entry for each id of the task")
        return [parts[name] for name in ids]


def _response_format(name: str, part: type[Part]) -> ResponseFormatJSONSchema:
    _, definitions = msgspec.json.schema_components([part], ref_template="#/$defs/{name}")
    schema: dict[str, object] = {
        "type": "object",
        "properties": {
            name: {"type": "array", "items": {"$ref": f"#/$defs/{part.__name__}"}},
        },
        "required": [name],
        "additionalProperties": False,
        "$defs": definitions,
    }
    return ResponseFormatJSONSchema(
        type="json_schema", json_schema=JSONSchema(name=name, strict=True, schema=schema)
    )


QUESTIONS: Final = Form("questions", WrittenQuestion)
PROMPTS: Final = Form("prompts", WrittenPrompts)
EVALUATIONS: Final[Mapping[Rubric, Form[Judgement]]] = MappingProxyType(
    {
        "standard": Form("evaluations", Judgement),
        "advanced": Form[Judgement]("evaluations", AdvancedJudgement),
    }
)
