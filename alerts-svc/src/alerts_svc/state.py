"""What the composition root hands to the routes."""

from __future__ import annotations

from typing import TypedDict

import asyncpg

from alerts_svc.clients.measures import Measures
from alerts_svc.evaluator.evaluator import Evaluator
from alerts_svc.lease_keeper import LeaseKeeper
from alerts_svc.notify.guard import Guard
from alerts_svc.notify.links import Links
from alerts_svc.ports import Time, Transports
from alerts_svc.store.alerts import Alerts
from alerts_svc.store.changes import ChangeEvents
from alerts_svc.store.channels import Channels
from alerts_svc.store.configurations import Configurations
from alerts_svc.store.deliveries import Deliveries
from alerts_svc.store.evaluations import Evaluations
from alerts_svc.store.inbox import Inbox
from alerts_svc.store.rules import Rules
from alerts_svc.store.silences import Silences


class Stores(TypedDict):
    """What is kept, by resource."""

    rules: Rules
    silences: Silences
    channels: Channels
    configurations: Configurations
    inbox: Inbox
    alerts: Alerts
    deliveries: Deliveries
    changes: ChangeEvents
    evaluations: Evaluations


class State(Stores):
    """Everything a handler may use, made once for each process."""

    time: Time
    pool: asyncpg.Pool[asyncpg.Record]
    measures: Measures
    guard: Guard
    links: Links
    evaluator: Evaluator
    keeper: LeaseKeeper
    transports: Transports
    max_body_bytes: int
    external_url: str
    evaluation_interval_seconds: float
