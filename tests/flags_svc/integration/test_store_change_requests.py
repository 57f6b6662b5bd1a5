"""Changes of protected environments: asked for, agreed to, applied once or not at all."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest
import pytest_asyncio
from structlog.testing import capture_logs

from flags_svc.approvals import Approvals, Outcome
from flags_svc.domain.actions import disable, enable
from flags_svc.domain.change_request import ChangeRequest, StaleRequestError, Status
from flags_svc.domain.flag import Environment, InEnvironment
from flags_svc.domain.world import Author, Edit
from flags_svc.store.change_requests import ChangeRequests
from flags_svc.wire.change_requests import request_view
from tests.flags_svc.replicas import ANN, Process, a_deletion, a_flag, put, started, wish
from windsock.flags.definition import Split
from windsock_kit.errors import ConflictError, NotFoundError

BOB, EVE = Author("bob", "looks fine"), Author("eve")
PROTECTED = Environment("production", approvals=2)
FLAG = a_flag(
    "f", environments={"production": InEnvironment(fallthrough=Split({"on": 1, "off": 1}))}
)


@pytest_asyncio.fixture
async def process(pool: Any) -> Process:
    """Give a process in whose world two must agree to changes of production."""
    made = await started(pool)
    await made.editor.edit(put(FLAG), ANN)
    await made.editor.edit(wish(Edit("environment", "production", PROTECTED, "create")), ANN)
    return made


@pytest.fixture
def requests(pool: Any) -> ChangeRequests:
    return ChangeRequests(pool)


@pytest.fixture
def approvals(process: Process, requests: ChangeRequests) -> Approvals:
    return Approvals(process.editor, requests)


async def asked(approvals: Approvals) -> ChangeRequest:
    """Ask for the flag to be enabled."""
    outcome = await approvals.edit(enable("f", "production"), ANN)
    assert outcome.request is not None
    return outcome.request


def is_enabled(process: Process) -> bool:
    return process.live.world.flags["f"].item.environments["production"].enabled


async def test_a_change_of_a_protected_environment_waits(
    process: Process, approvals: Approvals, requests: ChangeRequests
) -> None:
    made = await asked(approvals)

    assert (made.status, made.needed, made.author) == (Status.OPEN, 2, ANN)
    assert [(each.edit.key, each.edit.action, each.version) for each in made.wanted] == [
        ("f", "enable", 1)
    ]
    assert await requests.get(made.id) == made
    assert not is_enabled(process)


async def test_what_concerns_no_protected_environment_is_done_at_once(
    process: Process, approvals: Approvals
) -> None:
    outcome = await approvals.edit(put(a_flag("g")), ANN)

    assert [change.edit.key for change in outcome.changes] == ["g"]
    assert outcome.request is None


async def test_it_is_applied_when_enough_others_agree(
    process: Process, approvals: Approvals
) -> None:
    made = await asked(approvals)

    first = await approvals.approve(made.id, BOB)
    assert (first.changes, is_enabled(process)) == ((), False)
    second = await approvals.approve(made.id, EVE)

    assert is_enabled(process)
    assert second.request is not None
    assert (second.request.status, second.request.revision) == (Status.APPLIED, 3)
    assert [vote.name for vote in second.request.votes] == ["bob", "eve"]
    (change,) = await process.configuration.since(2, limit=9)
    assert change.author == replace(ANN, request=made.id)


async def test_a_split_stays_in_its_written_order(
    process: Process, approvals: Approvals, requests: ChangeRequests
) -> None:
    served = InEnvironment(True, fallthrough=Split({"on": 1, "off": 2}))
    outcome = await approvals.edit(put(a_flag("f", environments={"production": served})), ANN)

    assert outcome.request is not None
    (each,) = (await requests.get(outcome.request.id)).wanted
    assert each.edit.item == a_flag("f", environments={"production": served})


async def test_one_person_agrees_once_and_never_to_his_own(
    process: Process, approvals: Approvals
) -> None:
    made = await asked(approvals)

    await approvals.approve(made.id, BOB)
    await approvals.approve(made.id, BOB)
    with pytest.raises(ConflictError):
        await approvals.approve(made.id, ANN)

    assert not is_enabled(process)


@pytest.mark.parametrize("name", ["Ann", "anonymous"])
async def test_nobody_agrees_to_his_own_under_no_name(
    process: Process, approvals: Approvals, name: str
) -> None:
    made = await asked(approvals)

    with pytest.raises(ConflictError):
        await approvals.approve(made.id, Author(name))


async def test_the_same_name_in_capitals_counts_once(
    process: Process, approvals: Approvals
) -> None:
    made = await asked(approvals)

    await approvals.approve(made.id, BOB)
    await approvals.approve(made.id, Author("Bob"))

    assert not is_enabled(process)


async def protect(process: Process, approvals: int) -> None:
    """Say how many must agree from now on."""
    item = replace(PROTECTED, approvals=approvals)
    await process.editor.edit(wish(Edit("environment", "production", item, "patch")), ANN)


async def test_who_is_better_protected_by_now_needs_more_to_agree(
    process: Process, approvals: Approvals
) -> None:
    made = await asked(approvals)
    await protect(process, 3)

    await approvals.approve(made.id, BOB)
    waiting = (await approvals.approve(made.id, EVE)).request
    assert waiting is not None
    assert (waiting.status, waiting.needed, is_enabled(process)) == (Status.OPEN, 3, False)
    await approvals.approve(made.id, Author("joe"))

    assert is_enabled(process)


async def test_an_open_request_tells_how_many_must_agree_today(
    process: Process, approvals: Approvals
) -> None:
    made = await asked(approvals)

    needed = []
    for number in (3, 1, 0):
        await protect(process, number)
        needed.append(request_view(made, process.live.world, {})["needed"])

    assert needed == [3, 1, 1]


async def test_what_was_short_of_votes_is_not_applied_by_itself_once_fewer_will_do(
    process: Process, approvals: Approvals, requests: ChangeRequests, pool: Any
) -> None:
    made = await asked(approvals)
    await approvals.approve(made.id, BOB)
    await protect(process, 1)
    await pool.execute("UPDATE flags.votes SET at = at - 60")

    await approvals.finish()
    assert not is_enabled(process)
    await approvals.approve(made.id, BOB)

    assert is_enabled(process)
    decided = await requests.get(made.id)
    assert (decided.status, decided.needed, decided.approvals) == (Status.APPLIED, 1, 1)


async def test_what_was_better_protected_for_a_while_is_not_applied_by_itself(
    process: Process, approvals: Approvals, pool: Any
) -> None:
    await protect(process, 1)
    made = await asked(approvals)
    await protect(process, 2)
    await approvals.approve(made.id, BOB)
    await protect(process, 1)
    await pool.execute("UPDATE flags.votes SET at = at - 60")

    await approvals.finish()

    assert not is_enabled(process)


async def test_what_enough_agreed_to_is_applied_though_the_last_of_them_died(
    process: Process, approvals: Approvals, requests: ChangeRequests, pool: Any
) -> None:
    made = await asked(approvals)
    await approvals.approve(made.id, BOB)
    await requests.vote(made.id, EVE, agrees=True)

    await approvals.finish()
    assert not is_enabled(process)
    await pool.execute("UPDATE flags.votes SET at = at - 60")
    await approvals.finish()

    assert is_enabled(process)
    assert (await requests.get(made.id)).status is Status.APPLIED


async def test_what_cannot_be_applied_is_told_in_the_log_once(
    process: Process, approvals: Approvals, requests: ChangeRequests, pool: Any
) -> None:
    made = await asked(approvals)
    await approvals.approve(made.id, BOB)
    await requests.vote(made.id, EVE, agrees=True)
    await pool.execute("UPDATE flags.votes SET at = at - 60")
    await process.editor.edit(put(replace(FLAG, description="another")), ANN)

    with capture_logs() as told:
        await approvals.finish()
        await approvals.finish()

    assert [(each["event"], each["request"]) for each in told] == [("request_not_applied", made.id)]


async def test_what_could_not_be_applied_does_not_come_by_surprise(
    process: Process, approvals: Approvals, requests: ChangeRequests, pool: Any
) -> None:
    made = await asked(approvals)
    await approvals.approve(made.id, BOB)
    await requests.vote(made.id, EVE, agrees=True)

    await pool.execute("UPDATE flags.votes SET at = at - 7200")
    await approvals.finish()

    assert not is_enabled(process)


async def test_a_kill_waits_for_nobody(process: Process, approvals: Approvals) -> None:
    made = await asked(approvals)
    await approvals.approve(made.id, BOB)
    await approvals.approve(made.id, EVE)

    outcome = await approvals.edit(disable("f", "production"), ANN)

    assert outcome.request is None
    assert not is_enabled(process)


async def test_what_has_changed_meanwhile_is_not_applied(
    process: Process, approvals: Approvals
) -> None:
    made = await asked(approvals)
    await approvals.approve(made.id, BOB)
    await process.editor.edit(put(replace(FLAG, owner="eve")), EVE)

    with pytest.raises(StaleRequestError):
        await approvals.approve(made.id, EVE)

    assert not is_enabled(process)
    assert (await approvals.reject(made.id, ANN)).status is Status.WITHDRAWN


async def test_what_was_deleted_meanwhile_does_not_come_back(
    process: Process, approvals: Approvals
) -> None:
    made = await asked(approvals)
    await approvals.approve(made.id, BOB)
    await process.editor.edit(wish(a_deletion("f")), EVE)

    with pytest.raises(StaleRequestError):
        await approvals.approve(made.id, EVE)


async def test_one_no_is_the_end_of_it(process: Process, approvals: Approvals) -> None:
    made = await asked(approvals)

    ended = await approvals.reject(made.id, EVE)

    assert ended.status is Status.REJECTED
    assert [(vote.name, vote.agrees) for vote in ended.votes] == [("eve", False)]
    for decide in (approvals.approve, approvals.reject):
        with pytest.raises(ConflictError):
            await decide(made.id, BOB)


async def test_of_many_who_agree_at_once_it_is_applied_once(
    pool: Any, process: Process, approvals: Approvals, requests: ChangeRequests
) -> None:
    made = await asked(approvals)
    others = [Approvals((await started(pool)).editor, requests) for _ in range(8)]

    outcomes = await asyncio.gather(
        *(each.approve(made.id, Author(f"voter {n}")) for n, each in enumerate(others)),
        return_exceptions=True,
    )

    assert (await process.configuration.head()).revision == 3
    assert (await requests.get(made.id)).status is Status.APPLIED
    # Who came after all was decided is told so.
    assert all(isinstance(each, Outcome | ConflictError) for each in outcomes)
    assert sum(isinstance(each, Outcome) and bool(each.changes) for each in outcomes) == 1


async def test_what_is_withdrawn_while_it_is_applied_is_not(
    process: Process, approvals: Approvals, requests: ChangeRequests
) -> None:
    made = await asked(approvals)
    await requests.close(made.id, Status.WITHDRAWN)

    with pytest.raises(ConflictError, match="withdrawn"):
        await process.editor.edit(
            lambda world: [each.edit for each in made.wanted], replace(ANN, request=made.id)
        )

    assert (await process.configuration.head()).revision == 2


async def test_requests_are_listed_newest_first(
    process: Process, approvals: Approvals, requests: ChangeRequests
) -> None:
    made = [await asked(approvals) for _ in range(3)]
    await approvals.reject(made[1].id, BOB)

    assert [each.id for each in made] == ["1", "2", "3"]
    found = await requests.page(limit=9)
    older = await requests.page(before=made[2].id, limit=1)
    open_ones = await requests.page(status=Status.OPEN, limit=9)

    assert [each.id for each in found] == [each.id for each in reversed(made)]
    assert [each.id for each in older] == [made[1].id]
    assert [each.id for each in open_ones] == [made[2].id, made[0].id]


async def test_one_that_is_not_there_is_not_found(
    approvals: Approvals, requests: ChangeRequests
) -> None:
    with pytest.raises(NotFoundError):
        await approvals.approve("nothing", BOB)
    with pytest.raises(NotFoundError):
        await requests.page(before="nothing\0", limit=1)
