"""Changes, applied to a world and joined to one."""

from __future__ import annotations

from alerts_svc.domain.alert import Alert, State
from alerts_svc.domain.message import ChangeEvent
from alerts_svc.domain.world import Changes, Evaluation, Group, World, applied, joined


def alert(name: str, state: State = State.INACTIVE) -> Alert:
    return Alert(name, {"alertname": name}, state=state)


def group(key: str, sent_at: float = 0.0) -> Group:
    return Group(key, f"thread of {key}", sent_at)


WORLD = World(
    7,
    alerts={"a": alert("a"), "b": alert("b")},
    groups={"g": group("g")},
    changes=(ChangeEvent("1", "flag", "f", "", "ann", 0.0),),
    heartbeat_at=5.0,
)


def test_changes_replace_and_remove_and_leave_the_rest() -> None:
    changes = Changes(
        alerts=(alert("b", State.FIRING), alert("c")),
        forgotten=("a",),
        groups=(group("h"),),
        ended_groups=("g",),
    )

    after = applied(WORLD, changes)

    assert after.alerts == {"b": alert("b", State.FIRING), "c": alert("c")}
    assert after.groups == {"h": group("h")}
    assert (after.revision, after.changes, after.heartbeat_at) == (7, WORLD.changes, 5.0)


def test_no_changes_leave_the_world_as_it_is() -> None:
    assert applied(WORLD, Changes()) == WORLD
    assert applied(WORLD, Changes(heartbeat_at=9.0)).heartbeat_at == 9.0


def test_two_steps_joined_do_what_they_did_one_after_the_other() -> None:
    first = Changes(
        alerts=(alert("a", State.PENDING), alert("c")),
        forgotten=("b",),
        groups=(group("g", 1.0), group("h")),
        consumed=(1,),
        evaluation=Evaluation(1.0, (), (), ()),
        heartbeat_at=6.0,
    )
    then = Changes(
        alerts=(alert("a", State.FIRING), alert("b", State.PENDING)),
        forgotten=("c",),
        groups=(group("g", 2.0),),
        ended_groups=("h",),
        consumed=(2,),
    )

    both = joined(first, then)

    assert applied(WORLD, both) == applied(applied(WORLD, first), then)
    assert set(both.forgotten) == {"c"}
    # Its labels are for the history.
    assert "c" in {one.fingerprint for one in both.alerts}
    assert both.consumed == (1, 2)
    assert both.evaluation == first.evaluation
    assert both.heartbeat_at == 6.0


def test_what_nothing_changes_joined_to_is_the_same() -> None:
    one = Changes(alerts=(alert("a"),), forgotten=("b",), groups=(group("g"),))

    assert joined(one, Changes()) == joined(Changes(), one) == one
