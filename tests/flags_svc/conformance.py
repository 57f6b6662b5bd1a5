"""What becomes of other systems' definitions, asked as those systems are."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson

from flags_svc.conversion.outcome import Converted
from flags_svc.domain.bulk import import_items
from flags_svc.domain.projection import project_world
from tests.flags_svc.worlds import after, world
from windsock.flags.evaluation import CompiledSet, Evaluation, compile_set

_DATA = Path(__file__).parent / "data"


def data(name: str) -> Any:
    """Return what a file of data says."""
    return orjson.loads((_DATA / name).read_bytes())


class Imported:
    """The flags of an import, and what its report says of each: left out, or different."""

    def __init__(self, converted: Converted) -> None:
        made = after(world(), import_items(converted.given))
        self.flags: CompiledSet = compile_set(project_world(made, "production"))
        self.left_out = {each.flag: each for each in converted.notes if each.left_out}
        self._notes = [each for each in converted.notes if not each.left_out]

    def said_of(self, key: str) -> str:
        """Return what is told to be different about a flag, or about the segments of the document."""
        return "\n".join(
            each.detail
            for each in self._notes
            if each.flag == key or each.flag.startswith("segment ")
        )

    def ask(self, key: str, unit: object, context: Mapping[str, object]) -> Evaluation:
        """Evaluate a flag; in our contexts who asks is a text."""
        return self.flags[key].evaluate(None if unit is None else str(unit), context)
