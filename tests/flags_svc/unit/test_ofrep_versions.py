from dataclasses import replace

from flags_svc.domain.flag import InEnvironment
from flags_svc.live.event_id import EventId
from flags_svc.ofrep.versions import Versions
from tests.flags_svc.ofrep_app import EPOCH, Memory, Scene, a_flag, a_scene, a_world
from windsock.flags.definition import Segment


async def a_live_scene() -> Scene:
    scene = a_scene()
    await scene.live.catch_up()
    return scene


async def test_a_version_stays_while_its_environment_does() -> None:
    scene = await a_live_scene()
    versions = Versions(scene.live)
    before = versions.of("production")
    await scene.put(a_flag("static", staging=InEnvironment(enabled=True)))
    after = versions.of("production")
    assert (after.fingerprint, after.since) == (before.fingerprint, before.since)
    assert versions.of("staging").since == EventId(EPOCH, 8)


async def test_every_change_makes_another_and_its_opposite_the_same_again() -> None:
    scene = await a_live_scene()
    versions = Versions(scene.live)
    seen = [versions.of("production")]
    flag = scene.live.world.flags["static"].item
    await scene.disable("static")
    seen.append(versions.of("production"))
    await scene.put(Segment("vip", frozenset({"ann"})))
    seen.append(versions.of("production"))
    await scene.delete("segment", "vip")
    seen.append(versions.of("production"))
    await scene.put(flag)
    seen.append(versions.of("production"))

    prints = [each.fingerprint for each in seen]
    assert prints[3] == prints[1]
    assert prints[4] == prints[0]
    assert len(set(prints)) == 3
    assert [each.since.revision for each in seen] == [7, 8, 9, 10, 11]


async def test_processes_agree_however_they_came_to_know() -> None:
    scene = await a_live_scene()
    followed = Versions(scene.live)
    followed.of("production")
    await scene.put(a_flag("new"))
    await scene.delete("flag", "text")
    await scene.disable("static")

    loaded = Scene(Memory(replace(scene.configuration.world)))
    await loaded.live.catch_up()
    fresh = Versions(loaded.live)
    for environment in ("production", "staging"):
        assert fresh.of(environment).fingerprint == followed.of(environment).fingerprint


async def test_another_epoch_begins_anew() -> None:
    scene = await a_live_scene()
    versions = Versions(scene.live)
    before = versions.of("production")
    scene.configuration.world = a_world(epoch="other")
    await scene.live.catch_up()
    after = versions.of("production")
    assert after.fingerprint == before.fingerprint
    assert after.since == EventId("other", 7)
