"""All that the routes of remote evaluation need, put together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from flags_svc.live.hub import Hub
from flags_svc.live.replica import Replica
from flags_svc.ofrep.answers import Answers
from flags_svc.ofrep.events import OfrepEvents
from flags_svc.ofrep.tokens import StreamTokens
from flags_svc.ofrep.versions import Versions


@dataclass(frozen=True, slots=True)
class Ofrep:
    """What is handed to the routes."""

    answers: Answers
    tokens: StreamTokens
    events: OfrepEvents
    hub: Hub
    max_body_bytes: int

    @classmethod
    def on(
        cls,
        live: Replica,
        hub: Hub,
        tokens: StreamTokens,
        *,
        default_environment: str,
        max_body_bytes: int,
        max_streams: int,
    ) -> Self:
        """Serve what is in force in ``live``; ``max_streams`` is the limit of ``hub``."""
        versions = Versions(live)
        answers = Answers(
            live,
            versions,
            tokens,
            default_environment=default_environment,
            streaming=lambda: len(hub) < max_streams,
        )
        return cls(answers, tokens, OfrepEvents(live, versions), hub, max_body_bytes)
