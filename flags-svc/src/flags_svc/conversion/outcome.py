"""What comes out of reading another tool's flags: items of ours, and what could not be carried over."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from flags_svc.domain.bulk import Given
from flags_svc.domain.documents import flag_of
from flags_svc.domain.fields import below
from flags_svc.domain.flag import ManagedFlag
from flags_svc.domain.names import check_free
from windsock_kit.errors import InvalidError

Document = dict[str, Any]
Clause = dict[str, Any]

ANOTHER_HASH = "shares keep their size, but users are drawn anew: another hash decides"
DRAWN_ANEW = f"{ANOTHER_HASH}; without what to draw by it is the caller's own default"
NUMBERS = "where numbers are compared, a missing attribute is 0, and a text no number"
VERSIONS = "versions are texts as in semver.org; a v before them, and no minor and patch, are fine"


class CannotCarryError(Exception):
    """Something has no equal here; ``path`` is its place in what was given."""

    def __init__(self, path: str, detail: str) -> None:
        super().__init__(f"{path}: {detail}")
        self.path = path
        self.detail = detail


@dataclass(frozen=True, slots=True)
class Note:
    """What is not as it was: a flag that is ``left_out``, or one that differs in ``detail``."""

    path: str
    flag: str
    detail: str
    left_out: bool = False


@dataclass(slots=True)
class Converted:
    """The items that could be carried over, and what is to be said about it.

    A flag of which something that decides has no equal is left out as a whole: half of its rules
    would give users what nobody wanted.
    """

    given: list[Given] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)

    def document(self) -> Document:
        """Return the notes as they are told."""
        return {
            "converted": len(self.given),
            "left_out": [_told(note) for note in self.notes if note.left_out],
            "different": [_told(note) for note in self.notes if not note.left_out],
        }

    def leave_out(self, path: str, flag: str, detail: str) -> None:
        """Say that something could not be carried over."""
        self.notes.append(Note(path, flag, detail, left_out=True))

    def drop_those_that_miss_others(self) -> None:
        """Leave out flags that ask for others which were left out, and which ask for none."""
        gone = {note.flag for note in self.notes if note.left_out}
        for each in [*self.given]:
            item = each.item
            if not isinstance(item, ManagedFlag):
                continue
            missing = sorted(gone & {need.flag for need in item.prerequisites})
            if missing:
                self.given.remove(each)
                self.notes = [note for note in self.notes if note.flag != item.key]
                self.leave_out(each.path, item.key, f"it asks for {missing[0]}, which is left out")

    def take(self, key: str, path: str, convert: Callable[[list[str]], Mapping[str, Any]]) -> None:
        """Take the flag whose document ``convert`` returns; what it appends to its list are differences."""
        different: list[str] = []
        try:
            document = convert(different)
            flag = flag_of({"key": key, **document})
            check_free(key)
        except CannotCarryError as error:
            self.leave_out(error.path, key, error.detail)
        except InvalidError as error:
            detail = f"{error.path}: {error.detail}" if error.path else error.detail
            self.leave_out(path, key, detail)
        else:
            self.given.append(Given(flag, path))
            self.notes += [Note(path, key, each) for each in dict.fromkeys(different)]


def _told(note: Note) -> Document:
    return {"path": note.path, "flag": note.flag, "detail": note.detail}


def type_of(values: Sequence[object], path: str) -> str:
    """Return the type of a flag by its values; raises ``CannotCarryError`` when they are of several."""
    found = {_TYPES.get(type(value), "") for value in values}
    if found == {"integer", "float"}:
        return "float"
    if len(found) != 1 or found == {""}:
        raise CannotCarryError(path, "the values of a flag must all be of one type, and no lists")
    return found.pop()


_TYPES: Mapping[type, str] = {
    bool: "boolean",
    str: "string",
    int: "integer",
    float: "float",
    dict: "object",
}


def condition(attribute: str, name: str, *values: object, **more: bool) -> Clause:
    """Return a condition as it is written; of the names in ``more`` those that are true."""
    found: Clause = {"attribute": attribute, "operator": name}
    if len(values) == 1:
        found["value"] = values[0]
    elif name != "exists":
        found["values"] = list(values)
    return {**found, **{option: True for option, each in more.items() if each}}


def ordered(attribute: str, name: str, bound: float) -> Clause:
    """Return the condition that an attribute lies so; as in JavaScript, what is not there is 0."""
    found = condition(attribute, name, bound)
    if not _HOLDS[name](0, bound):
        return found
    return some([found, condition(attribute, "exists", negate=True)])


_HOLDS: Mapping[str, Callable[[float, float], bool]] = {
    "greater_than": operator.gt,
    "greater_or_equal": operator.ge,
    "less_than": operator.lt,
    "less_or_equal": operator.le,
}


def every(clauses: Sequence[Clause]) -> Clause:
    """Return the clause that all of ``clauses`` hold."""
    return clauses[0] if len(clauses) == 1 else {"all": list(clauses)}


def some(clauses: Sequence[Clause]) -> Clause:
    """Return the clause that one of ``clauses`` holds."""
    return clauses[0] if len(clauses) == 1 else {"any": list(clauses)}


class Bucketing:
    """The one attribute by which a flag's users are drawn."""

    def __init__(self) -> None:
        self.attribute: str | None = None
        self.salt: str | None = None

    def take(self, attribute: str, path: str, salt: str | None = None) -> None:
        """Draw by ``attribute``; raises ``CannotCarryError`` if the flag draws by another as well."""
        if self.attribute is not None and (attribute, salt) != (self.attribute, self.salt):
            raise CannotCarryError(path, "a flag draws all its users in one way")
        self.attribute, self.salt = attribute, salt

    def document(self) -> Document:
        """Return the members of a flag that say so."""
        found: Document = {}
        if self.attribute is not None and self.attribute != "targetingKey":
            found["bucket_by"] = self.attribute
        if self.salt is not None:
            found["salt"] = self.salt
        return found


def object_at(value: object, path: str) -> Document:
    """Return an object; raises ``InvalidError``."""
    if not isinstance(value, dict):
        raise InvalidError("must be an object", path=path)
    return value


def list_at(value: object, path: str) -> list[Any]:
    """Return a list, which is empty when nothing is there; raises ``InvalidError``."""
    if value is None:
        return []
    if not isinstance(value, list):
        raise InvalidError("must be a list", path=path)
    return value


def objects_at(value: object, path: str) -> list[Document]:
    """Return a list of objects, which is empty when nothing is there; raises ``InvalidError``."""
    return [
        object_at(each, f"{path}[{number}]") for number, each in enumerate(list_at(value, path))
    ]


def member(value: Mapping[str, Any], name: str, path: str) -> Any:
    """Return a member that must be there."""
    if name not in value:
        raise CannotCarryError(below(path, name), "is missing")
    return value[name]
