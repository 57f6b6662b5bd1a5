"""Settings from the environment: how they are read, and the forms that services have in common."""

import math
from collections.abc import Callable, Collection, Mapping

Convert = Callable[[str], object]
"""Makes a value of a variable's text, or raises ``ValueError`` that says what it must be."""


class SettingsError(ValueError):
    """A setting is missing or wrong; the message says which and what to do."""


def read(
    env: Mapping[str, str],
    converters: Mapping[str, Convert],
    variable_of: Callable[[str], str],
    *,
    secret: Collection[str] = (),
) -> dict[str, object]:
    """Return the value of each of ``converters`` whose variable is set, by its name.

    Raises ``SettingsError`` that names the variable, and its text unless the name is in ``secret``.
    """
    given: dict[str, object] = {}
    for name, convert in converters.items():
        variable = variable_of(name)
        value = env.get(variable)
        if value is None:
            continue
        try:
            given[name] = convert(value)
        except ValueError as error:
            shown = variable if name in secret else f"{variable}={value!r}"
            raise SettingsError(f"{shown} is wrong: {error}") from None
    return given


def text(value: str) -> str:
    """Take any text that is not empty."""
    if not value:
        raise ValueError("it is empty")
    return value


def whole(least: int, most: int | None = None) -> Callable[[str], int]:
    """Take a whole number from ``least`` to ``most``."""
    bounds = f"from {least} on" if most is None else f"from {least} to {most}"

    def convert(value: str) -> int:
        try:
            number = int(value)
        except ValueError:
            number = least - 1
        if number < least or (most is not None and number > most):
            raise ValueError(f"it must be a whole number {bounds}")
        return number

    return convert


def seconds(value: str) -> float:
    """Take a duration above 0."""
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if not 0 < number < math.inf:
        raise ValueError("it must be a number of seconds above 0")
    return number


def one_of(*allowed: str) -> Callable[[str], str]:
    """Take one of the words that are ``allowed``."""

    def convert(value: str) -> str:
        if value not in allowed:
            raise ValueError(f"it must be one of {', '.join(allowed)}")
        return value

    return convert


def address(*schemes: str) -> Callable[[str], str]:
    """Take an address with one of ``schemes``."""
    beginnings = tuple(f"{scheme}://" for scheme in schemes)

    def convert(value: str) -> str:
        if not value.startswith(beginnings):
            raise ValueError(f"it must start with {' or '.join(beginnings)}")
        return value

    return convert


PORT = whole(1, 65_535)
COUNT = whole(1)

SERVING: Mapping[str, Convert] = {
    "host": text,
    "port": PORT,
    "auth": one_of("off"),
    "log_format": one_of("json", "console"),
    "log_level": one_of("debug", "info", "warning", "error"),
}
"""What every service can be told."""
