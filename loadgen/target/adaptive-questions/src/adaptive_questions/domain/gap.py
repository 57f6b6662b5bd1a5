"""What is asked: gaps between a CV and a position."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class Priority(StrEnum):
    """How much a gap matters, the most important first."""

    CRITICAL = "CRITICAL"
    HIGH = "HIGH"
    MEDIUM = "MEDIUM"
    LOW = "LOW"


class Language(StrEnum):
    """The languages that questions are written in."""

    ENGLISH = "english"
    GERMAN = "german"
    FRENCH = "french"
    SPANISH = "spanish"
    ITALIAN = "italian"
    PORTUGUESE = "portuguese"
    DUTCH = "dutch"
    TURKISH = "turkish"


@dataclass(frozen=True, slots=True)
class Gap:
    """A skill that the position asks for and the CV does not show."""

    skill: str
    priority: Priority
    description: str = ""


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asks; neither is needed."""

    user_id: str | None = None
    session_id: str | None = None


@dataclass(frozen=True, slots=True)
class Brief:
    """What all gaps of a request share. The CV and the position are JSON objects as they came."""

    parsed_cv: Mapping[str, object]
    parsed_jd: Mapping[str, object]
    language: Language = Language.ENGLISH


def highest(priorities: list[Priority]) -> Priority:
    """Return the most important of ``priorities``, which are not empty."""
    order = list(Priority)
    return min(priorities, key=order.index)
