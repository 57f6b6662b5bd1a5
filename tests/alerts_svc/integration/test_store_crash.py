"""What was said to be kept outlives the database's crash."""

from __future__ import annotations

import pytest

from alerts_svc.domain.world import Changes, Close
from alerts_svc.store.inbox import Inbox
from alerts_svc.store.leases import PostgresLeases
from alerts_svc.store.ledger import PostgresLedger
from alerts_svc.store.silences import Silences
from tests.alerts_svc.contract_ledger import ALERT, LATER, message
from tests.alerts_svc.integration.test_ledger_contract import SILENCE
from tests.fixtures.servers import RunningPostgres
from windsock_kit.postgres import open_pool, transient_errors


async def test_what_was_answered_is_there_after_a_crash(own_postgres: RunningPostgres) -> None:
    url = await own_postgres.new_alerts_database("windsock")
    async with open_pool(url, application_name="test", min_size=0, max_size=2) as pool:
        ledger, leases = PostgresLedger(pool), PostgresLeases(pool)
        lease = await leases.campaign("first", ttl=8.0)
        assert lease is not None
        changes = Changes(alerts=[ALERT], messages=[message("m", told="a1")])
        await ledger.commit(lease, changes, revision=lease.revision)
        await Silences(pool).create(SILENCE)
        await Inbox(pool).put(Close("a", "ann"))

        own_postgres.kill()
        with pytest.raises(transient_errors):
            await leases.campaign("first", ttl=8.0)
        await own_postgres.start()

        world = await ledger.load()
        assert world.alerts == {ALERT.fingerprint: ALERT}
        assert list(world.silences) == ["s1"]
        assert [d.message.id for d in await ledger.due("slack", own=LATER, limit=9)] == ["m"]
        assert [c.content for c in await ledger.inbox(limit=9)] == [Close("a", "ann")]
        renewed = await leases.campaign("first", ttl=8.0, own=lease.own + 1)
        assert renewed is not None
        assert renewed.fence == lease.fence
