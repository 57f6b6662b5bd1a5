"""What an import has made of what was sent, as it is told."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flags_svc.conversion.outcome import Converted
from flags_svc.domain.deciding import part_of
from flags_svc.domain.world import Edit, World


def outcome_view(
    world: World, edits: Sequence[Edit], converted: Converted, *, dry_run: bool
) -> dict[str, Any]:
    """Return which items an import makes or replaces in ``world``, and what could not be carried over."""
    created: list[str] = []
    replaced: list[str] = []
    for edit in edits:
        there = edit.key in part_of(world, edit.kind)
        (replaced if there else created).append(f"{edit.kind} {edit.key}")
    told = converted.document()
    return {
        "dry_run": dry_run,
        "given": len(converted.given),
        "created": created,
        "replaced": replaced,
        "unchanged": len(converted.given) - len(edits),
        "left_out": told["left_out"],
        "different": told["different"],
    }
