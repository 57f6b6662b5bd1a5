"""Merge patches (RFC 7396) of items as they are written."""

from __future__ import annotations

from typing import Any

# A null takes a member out of a document, but as a value of these it says something.
_NULLABLE = ("lifetime_days", "salt", "rollout_salt")
_FORMS = {"variant", "split", "rollout"}


def patched(document: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Return ``document`` with ``changes``.

    A lifetime of null is none, and not that of the kind. A fallthrough of another form (a variant,
    a split, a rollout) takes the place of the present one, with which it would make no sense.
    """
    merged: dict[str, Any] = _merged(_without_other_forms(document, changes), changes)
    for name in _NULLABLE:
        if name in changes and changes[name] is None and name in document:
            merged[name] = None
    return merged


def _merged(target: Any, changes: Any) -> Any:
    if not isinstance(changes, dict):
        return changes
    found = dict(target) if isinstance(target, dict) else {}
    for name, each in changes.items():
        if each is None:
            found.pop(name, None)
        else:
            found[name] = _merged(found.get(name), each)
    return found


def _without_other_forms(document: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    environments = changes.get("environments")
    if not isinstance(environments, dict):
        return document
    held = dict(document.get("environments", {}))
    for name, each in environments.items():
        wanted = each.get("fallthrough") if isinstance(each, dict) else None
        present = held.get(name, {}).get("fallthrough")
        if isinstance(wanted, dict) and present is not None and _FORMS & {*wanted} - {*present}:
            held[name] = {**held[name], "fallthrough": None}
    return {**document, "environments": held}
