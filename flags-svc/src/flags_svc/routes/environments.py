"""``/api/feature-flags/environments``: the places that flags are in force in."""

from __future__ import annotations

from flags_svc.routes.changing import PREFIX
from flags_svc.routes.items import Items
from windsock_kit.resources import resource

ENVIRONMENTS = Items("environment", "environment_name", "environments")
ALL = f"{PREFIX}/environments"
ONE = f"{ALL}/{{{ENVIRONMENTS.parameter}}}"

routes = [
    resource(ALL, get=ENVIRONMENTS.index, post=ENVIRONMENTS.create),
    resource(
        ONE,
        get=ENVIRONMENTS.show,
        put=ENVIRONMENTS.replace,
        patch=ENVIRONMENTS.patch,
        delete=ENVIRONMENTS.delete,
    ),
]
