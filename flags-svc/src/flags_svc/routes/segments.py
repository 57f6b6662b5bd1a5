"""``/api/feature-flags/segments``: groups of users that the rules of all flags may ask for."""

from __future__ import annotations

from flags_svc.routes.changing import PREFIX
from flags_svc.routes.items import Items
from windsock_kit.resources import resource

SEGMENTS = Items("segment", "segment_key", "segments")
ALL = f"{PREFIX}/segments"
ONE = f"{ALL}/{{{SEGMENTS.parameter}}}"

routes = [
    resource(ALL, get=SEGMENTS.index, post=SEGMENTS.create),
    resource(
        ONE,
        get=SEGMENTS.show,
        put=SEGMENTS.replace,
        patch=SEGMENTS.patch,
        delete=SEGMENTS.delete,
    ),
]
