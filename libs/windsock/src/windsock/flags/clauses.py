"""Reading clauses strictly."""

from __future__ import annotations

from sys import intern

from windsock.fields import MAX_NAME
from windsock.flags.definition import All, Any, Clause, Condition, InSegment, Not
from windsock.flags.operators import EXISTS, MATCHES, OPERATORS
from windsock.flags.shape import InvalidFlagsError, below, bool_of, fields_of, list_of, name_of

MAX_DEPTH = 10
MAX_CLAUSES = 1_000
MAX_VALUES = 10_000
MAX_PATTERNS = 100
MAX_VALUE = 10_000
_GROUPS = ("all", "any", "not", "segment")


def clause_of(value: object, path: str) -> Clause:
    """Return the clause that ``value`` writes. Raises ``InvalidFlagsError``."""
    return _Reader(path).clause(value, path, MAX_DEPTH)


class _Reader:
    """Reads one clause, and counts those within."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._left = MAX_CLAUSES

    def clause(self, value: object, path: str, depth: int) -> Clause:
        self._left -= 1
        if self._left < 0:
            raise InvalidFlagsError(self._path, f"must have at most {MAX_CLAUSES} clauses")
        if not isinstance(value, dict):
            raise InvalidFlagsError(path, "must be an object")
        group = next((name for name in _GROUPS if name in value), None)
        if group is None:
            return _condition_of(value, path)
        for name in value:
            if name != group:
                place = below(path, str(name)[:MAX_NAME])
                raise InvalidFlagsError(
                    place, f"cannot stand beside {group}; all, any and not combine clauses"
                )
        given, path = value[group], below(path, group)
        if group == "segment":
            return InSegment(name_of(given, path))
        if depth == 0:
            raise InvalidFlagsError(path, f"is nested more than {MAX_DEPTH} deep")
        if group == "not":
            return Not(self.clause(given, path, depth - 1))
        clauses = tuple(
            self.clause(each, f"{path}[{index}]", depth - 1)
            for index, each in enumerate(list_of(given, path, MAX_CLAUSES))
        )
        return All(clauses) if group == "all" else Any(clauses)


def _condition_of(value: object, path: str) -> Condition:
    fields = fields_of(
        value,
        path,
        required=("attribute", "operator"),
        optional=("value", "values", "negate", "ignore_case"),
    )
    name = fields["operator"]
    operator = OPERATORS.get(name) if isinstance(name, str) else None
    if operator is None:
        detail = f"must be one of {', '.join(OPERATORS)}"
        raise InvalidFlagsError(below(path, "operator"), detail, tuple(OPERATORS))
    ignore_case = bool_of(fields.get("ignore_case", False), below(path, "ignore_case"))
    if ignore_case and not operator.has_case:
        raise InvalidFlagsError(below(path, "ignore_case"), f"{name} has no case to ignore")
    return Condition(
        # The same few names come again and again; one copy of each will do.
        intern(str.__str__(name_of(fields["attribute"], below(path, "attribute")))),
        intern(str.__str__(name)),
        _values_of(fields, path, name),
        bool_of(fields.get("negate", False), below(path, "negate")),
        ignore_case,
    )


def _values_of(fields: dict[str, object], path: str, operator: str) -> tuple[object, ...]:
    if operator == EXISTS:
        for name in ("value", "values"):
            if name in fields:
                raise InvalidFlagsError(below(path, name), "exists takes no values")
        return ()
    if ("value" in fields) == ("values" in fields):
        raise InvalidFlagsError(path, "must have either value or values")
    if "value" in fields:
        return (_checked(fields["value"], operator, below(path, "value")),)
    path = below(path, "values")
    most = MAX_PATTERNS if operator == MATCHES else MAX_VALUES
    return tuple(
        _checked(each, operator, f"{path}[{index}]")
        for index, each in enumerate(list_of(fields["values"], path, most))
    )


def _checked(value: object, operator: str, path: str) -> object:
    wrong = OPERATORS[operator].wrong(value)
    if wrong is not None:
        raise InvalidFlagsError(path, wrong)
    if isinstance(value, str):
        name_of(value or "-", path, MAX_VALUE)
    return value
