"""Rules, silences, channels, configuration and keys in PostgreSQL."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from alerts_svc.domain.channel import Channel, Kind
from alerts_svc.domain.configuration import Configuration, Inhibition, MuteWindow, Route
from alerts_svc.domain.matcher import Matcher
from alerts_svc.domain.message import ChangeEvent
from alerts_svc.domain.outside import identity_of
from alerts_svc.domain.rule import BurnRate, BurnWindow, Comparison, Query, Rule, Threshold
from alerts_svc.domain.severity import Severity
from alerts_svc.domain.silence import Silence
from alerts_svc.domain.world import Changes, Posted
from alerts_svc.store.changes import ChangeEvents
from alerts_svc.store.channels import Channels
from alerts_svc.store.configurations import Configurations
from alerts_svc.store.inbox import MAX_FROM_ELSEWHERE, Inbox
from alerts_svc.store.keys import Keys
from alerts_svc.store.leases import PostgresLeases
from alerts_svc.store.ledger import PostgresLedger
from alerts_svc.store.rules import Rules
from alerts_svc.store.silences import Silences
from alerts_svc.wire.defaults import default_configuration, default_rules
from tests.alerts_svc.contract_ledger import message
from windsock_kit.errors import ConflictError, NotFoundError, UnavailableError
from windsock_kit.preconditions import PreconditionFailedError

QUERY = Query("duration_ms", "p95", 300, group_by=("operation",), filters=(("model", ("a", None)),))
SLOW = Rule(
    "Slow",
    "performance",
    Threshold(QUERY, Comparison.ABOVE, warning=3000.0),
    no_data_severity=Severity.WARNING,
    labels={"team": "a"},
    actions=("look",),
)
BURNING = Rule(
    "Burning",
    "performance",
    BurnRate("errors", "requests", 0.99, (BurnWindow(3600, 300, 14.4, Severity.CRITICAL),)),
)
SLACK = Channel("slack", Kind.SLACK, {"url": "https://hooks.example/x"})
SILENCE = Silence("s1", (Matcher("alertname", "Slow"),), 1e9, 4e9, "ann", "known")


async def revision(pool: Any) -> int:
    return (await PostgresLedger(pool).load()).revision


@pytest.mark.parametrize("rule", [SLOW, BURNING, *default_rules()], ids=lambda rule: rule.name)
async def test_a_rule_is_read_as_it_was_written(pool: Any, rule: Rule) -> None:
    made = await Rules(pool).create(rule)

    assert made.rule == rule
    assert made.origin == "user"
    assert await Rules(pool).get(rule.name) == made
    assert (await PostgresLedger(pool).load()).rules == {rule.name: rule}


async def test_a_rule_is_made_once(pool: Any) -> None:
    await Rules(pool).create(SLOW)

    with pytest.raises(ConflictError):
        await Rules(pool).create(SLOW)


async def test_replacing_a_rule_counts_its_version(pool: Any) -> None:
    await Rules(pool).create(SLOW)
    before = await revision(pool)

    made = await Rules(pool).replace(replace(SLOW, enabled=False), 1)

    assert (made.rule.version, made.rule.enabled) == (2, False)
    assert await revision(pool) > before
    with pytest.raises(PreconditionFailedError):
        await Rules(pool).replace(SLOW, 1)
    with pytest.raises(PreconditionFailedError):
        await Rules(pool).delete(SLOW.name, 1)


async def test_a_change_that_is_refused_leaves_the_revision(pool: Any) -> None:
    before = await revision(pool)

    with pytest.raises(NotFoundError):
        await Rules(pool).replace(SLOW)
    with pytest.raises(NotFoundError):
        await Rules(pool).delete("Slow")
    with pytest.raises(NotFoundError):
        await Silences(pool).expire("s1")
    with pytest.raises(ConflictError):
        await Channels(pool).delete("console")

    assert await revision(pool) == before


async def test_defaults_are_offered_once(pool: Any) -> None:
    rules = Rules(pool)

    first = await rules.seed([SLOW, BURNING])
    await rules.delete("Slow")
    again = await rules.seed([SLOW, BURNING])

    assert (sorted(first), again) == (["Burning", "Slow"], [])
    assert [kept.rule.name for kept in await rules.all()] == ["Burning"]
    assert (await rules.get("Burning")).origin == "default"


async def test_a_default_follows_the_release_until_somebody_changes_it(pool: Any) -> None:
    rules = Rules(pool)
    await rules.seed([SLOW, BURNING])
    await rules.replace(replace(SLOW, for_seconds=60.0))

    changed = await rules.seed([replace(SLOW, for_seconds=5.0), replace(BURNING, for_seconds=5.0)])

    assert changed == ["Burning"]
    assert (await rules.get("Slow")).rule.for_seconds == 60.0
    assert (await rules.get("Slow")).origin == "user"
    assert (await rules.get("Burning")).rule.for_seconds == 5.0


async def test_replicas_that_start_together_offer_the_defaults_once(pool: Any) -> None:
    made = await asyncio.gather(*(Rules(pool).seed([SLOW, BURNING]) for _ in range(4)))

    assert sorted(name for names in made for name in names) == ["Burning", "Slow"]


async def test_a_silence_is_read_as_it_was_written(pool: Any) -> None:
    made = await Silences(pool).create(SILENCE)

    found = await Silences(pool).get("s1")

    assert found == replace(made, matchers=list(SILENCE.matchers))
    assert replace(made, updated_at=0.0) == SILENCE
    assert (await PostgresLedger(pool).load()).silences == {"s1": found}


async def test_expiring_ends_a_silence_now(pool: Any) -> None:
    await Silences(pool).create(SILENCE)

    made = await Silences(pool).expire("s1")

    assert made.ends_at < 3e9
    assert (await Silences(pool).get("s1")).ends_at == made.ends_at
    assert await Silences(pool).expire("s1") == await Silences(pool).get("s1")


async def test_a_silence_that_has_not_begun_never_does_once_it_has_expired(pool: Any) -> None:
    await Silences(pool).create(replace(SILENCE, starts_at=3e9))

    made = await Silences(pool).expire("s1")

    assert made.starts_at == made.ends_at


async def test_silences_long_over_are_not_loaded(pool: Any) -> None:
    await Silences(pool).create(replace(SILENCE, ends_at=1e9 + 1))

    assert (await PostgresLedger(pool).load()).silences == {}
    assert len(await Silences(pool).all()) == 1


async def test_a_silence_can_be_replaced(pool: Any) -> None:
    await Silences(pool).create(SILENCE)

    await Silences(pool).replace(replace(SILENCE, comment="longer", ends_at=5e9))

    assert (await Silences(pool).get("s1")).comment == "longer"
    with pytest.raises(NotFoundError):
        await Silences(pool).replace(replace(SILENCE, id="s2"))
    with pytest.raises(ConflictError):
        await Silences(pool).create(SILENCE)


async def test_the_console_is_there_from_the_start(pool: Any) -> None:
    assert await Channels(pool).all() == [Channel("console", Kind.CONSOLE)]


async def test_channels_change_and_go(pool: Any) -> None:
    channels = Channels(pool)

    made = await channels.create(SLACK)
    changed = await channels.replace(replace(SLACK, enabled=False), 1)

    assert made == SLACK
    assert (changed.version, changed.enabled) == (2, False)
    with pytest.raises(PreconditionFailedError):
        await channels.replace(SLACK, 1)
    with pytest.raises(ConflictError):
        await channels.create(SLACK)
    await channels.delete("slack", 2)
    with pytest.raises(NotFoundError):
        await channels.get("slack")


async def test_what_waits_for_a_deleted_channel_is_left_to_whoever_sends(pool: Any) -> None:
    await Channels(pool).create(SLACK)
    ledger = PostgresLedger(pool)
    lease = await PostgresLeases(pool).campaign("first", ttl=8.0)
    assert lease is not None
    await ledger.commit(lease, Changes(messages=[message("m")]), revision=lease.revision)

    await Channels(pool).delete("slack")

    assert await ledger.queues() == ["slack"]


async def test_the_configuration_is_read_as_it_was_written(pool: Any) -> None:
    matcher = Matcher("operation", "a|b", is_regex=True, is_equal=False)
    document = Configuration(
        fallback="email",
        routes=(Route("all", (matcher,), ("slack",), ("alertname",), proceed=True),),
        inhibitions=(Inhibition("down", (matcher,), (matcher,), ("environment",)),),
        mute_windows=(MuteWindow("night", (matcher,), frozenset({5, 6}), 0, 480),),
    )

    made = await Configurations(pool).replace(document, 1)

    assert made == replace(document, version=2)
    assert await Configurations(pool).get() == made
    assert (await PostgresLedger(pool).load()).configuration == made
    with pytest.raises(PreconditionFailedError):
        await Configurations(pool).replace(document, 1)


async def test_the_default_configuration_does_not_replace_one(pool: Any) -> None:
    configurations = Configurations(pool)
    await configurations.seed(default_configuration())
    seeded = await configurations.get()
    made = await configurations.replace(replace(seeded, repeat_seconds=60.0))

    await configurations.seed(default_configuration())

    assert seeded == default_configuration()
    assert await configurations.get() == made


async def test_of_changes_at_once_each_has_a_version(pool: Any) -> None:
    configurations = Configurations(pool)

    made = await asyncio.gather(*(configurations.replace(Configuration()) for _ in range(5)))

    assert sorted(each.version for each in made) == [2, 3, 4, 5, 6]


async def test_change_events_are_told_newest_first_and_loaded(pool: Any) -> None:
    now: float = await pool.fetchval("SELECT extract(epoch FROM now())::float8")
    events = [ChangeEvent(f"c{n}", "flag", "cache", "on", "ann", now - n) for n in range(3)]
    for event in events:
        await ChangeEvents(pool).put(event)

    found = await ChangeEvents(pool).between(now - 1.5, now + 1, limit=10)

    assert found == events[:2]
    assert (await PostgresLedger(pool).load()).changes == tuple(events)


async def test_a_change_that_is_sent_again_stays_the_first_one(pool: Any) -> None:
    first = ChangeEvent("release", "deployment", "api", "1.4.2", "ann", 5.0)

    assert await ChangeEvents(pool).put(first) == (first, True)
    assert await ChangeEvents(pool).put(replace(first, at=6.0)) == (first, False)

    assert await ChangeEvents(pool).between(0, 10, limit=10) == [first]


async def test_a_key_is_made_once_for_all_replicas(pool: Any) -> None:
    made = await asyncio.gather(*(Keys(pool).get("links") for _ in range(5)))

    assert len(set(made)) == 1
    assert len(made[0]) == 32
    assert await Keys(pool).get("other") != made[0]


async def test_there_is_an_end_to_alerts_from_elsewhere_but_known_ones_may_always_come(
    pool: Any,
) -> None:
    def posted(name: str) -> tuple[Posted, ...]:
        return (Posted({"alertname": name}, {}, 1.0, None, "", 2.0),)

    await pool.execute(
        """
        INSERT INTO alerts.alerts (fingerprint, state, content)
        SELECT CASE n WHEN 1 THEN $1 ELSE 'f' || n END, 'firing', '{}'
        FROM generate_series(1, $2::int) AS n
        """,
        identity_of({"alertname": "Known"}),
        MAX_FROM_ELSEWHERE - 1,
    )

    await Inbox(pool).put(posted("Last"))
    with pytest.raises(UnavailableError, match="alerts from elsewhere"):
        await Inbox(pool).put(posted("TooMany"))
    await Inbox(pool).put(posted("Known"))

    assert await pool.fetchval("SELECT count(*) FROM alerts.inbox") == 2
