"""What the composition root hands to the routes."""

from __future__ import annotations

from flags_svc.approvals import Approvals
from flags_svc.live.reception import Reception
from flags_svc.live.running import LiveState
from flags_svc.ofrep.serving import Ofrep
from flags_svc.ports import Configuration
from flags_svc.store.change_requests import ChangeRequests
from flags_svc.store.history import History
from flags_svc.store.usage import Usage
from windsock_kit.clock import Clock


class State(LiveState):
    """Everything a handler may use, made once for each process."""

    approvals: Approvals
    requests: ChangeRequests
    history: History
    usage: Usage
    configuration: Configuration
    reception: Reception
    ofrep: Ofrep
    clock: Clock
    max_body_bytes: int
