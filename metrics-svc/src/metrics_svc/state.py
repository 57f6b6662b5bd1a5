"""What the composition root hands to the routes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import TypedDict

import asyncpg

from metrics_svc.engine import Engine
from metrics_svc.ingest import Ingest
from metrics_svc.instruments import Instruments
from metrics_svc.intake_otlp import OtlpIntake
from metrics_svc.price_keeper import PriceKeeper
from metrics_svc.probes.monitor import Probes
from metrics_svc.repricing import Repricer
from metrics_svc.wire.batch import Limits


class State(TypedDict):
    """Everything a handler may use, made once for each process."""

    clock: Callable[[], datetime]
    ingest: Ingest
    otlp: OtlpIntake
    engine: Engine
    pool: asyncpg.Pool[asyncpg.Record]
    probes: Probes
    prices: PriceKeeper
    repricer: Repricer
    # For how long raw events are kept.
    raw_retention: timedelta
    instruments: Instruments
    limits: Limits
    # For how many seconds rollup rows of each resolution are kept.
    kept: Mapping[int, int]
    max_body_bytes: int
    max_decompressed_bytes: int
    max_otlp_body_bytes: int
