"""Tells alerts-svc of every change, in order, each at least once and taken as one; of an import in one go."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

import structlog

from flags_svc.clients.alerts import AwayError, RefusedError
from flags_svc.domain.telling import (
    MAX_SINGLE,
    Telling,
    commits,
    telling,
    telling_of_many,
)
from flags_svc.domain.world import Change, Item
from flags_svc.ports import Configuration
from flags_svc.store.history import History
from flags_svc.store.told import Told, Turn
from windsock_kit.errors import UnavailableError
from windsock_kit.postgres import unavailable

log = structlog.get_logger(__name__)

INTERVAL_SECONDS: Final = 5.0
BATCH: Final = 1_000
# Who puts in the first flags.
FOUNDER: Final = "seed"


class Alerts(Protocol):
    """Whom to tell; see ``clients.alerts``."""

    async def tell(self, telling: Telling) -> None: ...


class Teller:
    """Goes on where the last one stopped, whichever process that was."""

    def __init__(
        self, configuration: Configuration, history: History, told: Told, alerts: Alerts
    ) -> None:
        self._configuration = configuration
        self._history = history
        self._told = told
        self._alerts = alerts
        self._away = False

    async def tick(self) -> None:
        """Tell what is still to be told, as far as alerts-svc takes it now; what it does not is told later."""
        try:
            with unavailable():
                async with self._told.turn() as turn:
                    if turn is not None:
                        await self._tell(turn)
        except UnavailableError:
            return
        except AwayError as error:
            if not self._away:
                log.warning("alerts_away", reason=str(error))
            self._away = True

    async def _tell(self, turn: Turn) -> None:
        epoch = (await self._configuration.head()).epoch
        revision = await turn.revision()
        while changes := await self._configuration.since(revision, limit=BATCH):
            for together in commits(changes):
                if not _founds(together[0]):
                    await self._tell_of(turn, epoch, together)
            revision = changes[-1].revision
            await turn.move(revision)

    async def _tell_of(self, turn: Turn, epoch: str, together: Sequence[Change]) -> None:
        if len(together) > MAX_SINGLE:
            await self._post(telling_of_many(epoch, together))
            await turn.move(together[-1].revision)
            return
        for change in together:
            await self._post(telling(epoch, change, await self._before(change)))
            await turn.move(change.revision)

    async def _post(self, told: Telling) -> None:
        try:
            await self._alerts.tell(told)
        except RefusedError as error:
            log.error("change_refused_by_alerts", change=told.id, reason=str(error))
        self._away = False

    async def _before(self, change: Change) -> Item | None:
        if change.version == 1:
            return None
        edit = change.edit
        before = await self._history.version(edit.kind, edit.key, change.version - 1)
        return before.edit.item


def _founds(change: Change) -> bool:
    """Return whether it is the beginning, which has not changed the application."""
    return change.revision == 1 and change.author.name == FOUNDER
