"""How soon on-call hears of it, and what a crash loses: Windsock beside Prometheus with Alertmanager, in one run."""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from benchmarks import alerting_prometheus, alerting_windsock, harness
from benchmarks.alerting_windsock import call
from benchmarks.pages import Pages, receiving
from benchmarks.processes import Process

OPERATIONS = [f"operation_{number:02d}" for number in range(20)]
SECOND, LIMITED = "Second", "Limited"
# Both systems are bound to have told by then, unless they lost it or wait for Alertmanager's group_interval.
PAGE_SECONDS = 120.0
RETRY_AFTER = 30
DOWN_SECONDS = 2.0


class System(Protocol):
    """What both systems can do."""

    name: str
    notifier: Process

    @property
    def processes(self) -> list[Process]: ...

    async def breach(self, rule: str, operation: str) -> float: ...


@dataclass(frozen=True, slots=True)
class Plan:
    """How much of each scenario; ``group_seconds`` is how long to wait for what Alertmanager holds for group_interval."""

    rules: int
    pages: int
    kills: int
    silences: int
    steady_seconds: float
    group_seconds: float

    def watched(self) -> list[str]:
        """Return the names of the rules that are made to breach."""
        pages = [f"Page{number}" for number in range(self.pages)]
        return [*pages, *(f"Killed{number}" for number in range(self.kills)), SECOND, LIMITED]


Make = Callable[..., AbstractAsyncContextManager[System]]
SYSTEMS: dict[str, Make] = {
    alerting_windsock.NAME: alerting_windsock.windsock,
    alerting_prometheus.NAME: alerting_prometheus.prometheus,
}
QUICK = Plan(rules=200, pages=4, kills=1, silences=2, steady_seconds=10, group_seconds=45)


async def steady(system: System, seconds: float) -> dict[str, Any]:
    """Return what the processes take of one core while nothing fires."""
    harness.progress(f"{system.name}: {seconds:g} s in which nothing fires")
    before = [process.cpu_seconds() for process in system.processes]
    started = time.monotonic()
    await asyncio.sleep(seconds)
    lasted = time.monotonic() - started
    return {
        process.name: {
            "cpu_percent": round(100 * (process.cpu_seconds() - used) / lasted, 1),
            "resident_mb": process.resident_mb(),
        }
        for process, used in zip(system.processes, before, strict=True)
    }


async def first_pages(system: System, pages: Pages, plan: Plan) -> dict[str, Any]:
    """Breach one rule after the other, at any moment of an interval; return the seconds until each is heard of."""
    rng = random.Random(7)
    waiting = []
    for number in range(plan.pages):
        rule, operation = f"Page{number}", rng.choice(OPERATIONS)
        at = await system.breach(rule, operation)
        waiting.append(
            (at, asyncio.create_task(pages.first((rule, operation), seconds=PAGE_SECONDS)))
        )
        harness.progress(f"{system.name}: first page {number + 1} of {plan.pages}")
        await asyncio.sleep(rng.uniform(1.5, 4.0))
    seconds = [since(at, await task) for at, task in waiting]
    return summary(seconds)


def since(at: float, arrival: Any) -> float | None:
    """Return the seconds from a breach to an arrival."""
    return None if arrival is None else round(arrival.at - at, 3)


def summary(seconds: Sequence[float | None]) -> dict[str, Any]:
    """Return median, p95 and maximum of what arrived, and how much did not."""
    arrived = sorted(value for value in seconds if value is not None)
    if not arrived:
        return {"samples": len(seconds), "lost": len(seconds)}
    last = len(arrived) - 1
    return {
        "samples": len(seconds),
        "lost": len(seconds) - len(arrived),
        "median": arrived[last // 2],
        "p95": arrived[round(last * 0.95)],
        "max": arrived[-1],
    }


async def second_of_group(system: System, pages: Pages, plan: Plan) -> dict[str, Any]:
    """Breach a rule for one operation, and when that was heard of for another: both are of one group."""
    await system.breach(SECOND, OPERATIONS[0])
    first = await pages.first((SECOND, OPERATIONS[0]), seconds=PAGE_SECONDS)
    await asyncio.sleep(1)
    at = await system.breach(SECOND, OPERATIONS[1])
    told = await pages.first((SECOND, OPERATIONS[1]), seconds=plan.group_seconds)
    return {"first_arrived": first is not None, **waited(at, told, plan.group_seconds)}


def waited(at: float, arrival: Any, limit: float) -> dict[str, Any]:
    """Return how long it took, or for how long it was waited in vain."""
    if arrival is None:
        return {"seconds": None, "not_within_seconds": limit}
    return {"seconds": since(at, arrival)}


async def retry_after(system: System, pages: Pages, plan: Plan) -> dict[str, Any]:
    """Answer the first message of a channel with 429; return when the page was taken after all."""
    pages.refusals.append(RETRY_AFTER)
    at = await system.breach(LIMITED, OPERATIONS[0])
    told = await pages.first((LIMITED, OPERATIONS[0]), seconds=RETRY_AFTER + plan.group_seconds)
    refused = [a for a in pages.arrivals.get((LIMITED, OPERATIONS[0]), []) if a.status == 429]
    result = {
        "retry_after_seconds": RETRY_AFTER,
        **waited(at, told, RETRY_AFTER + plan.group_seconds),
    }
    if refused and told is not None:
        result["after_refusal_seconds"] = since(refused[0].at, told)
    return result


async def killed(system: System, pages: Pages, plan: Plan) -> dict[str, Any]:
    """Kill the notifier one second after a breach, and start it again two seconds later."""
    seconds: list[float | None] = []
    copies = 0
    for number in range(plan.kills):
        harness.progress(f"{system.name}: kill {number + 1} of {plan.kills}")
        key = (f"Killed{number}", OPERATIONS[number % len(OPERATIONS)])
        at = await system.breach(*key)
        await asyncio.sleep(max(0.0, at + 1 - time.monotonic()))
        system.notifier.kill()
        await asyncio.sleep(DOWN_SECONDS)
        await system.notifier.start()
        seconds.append(since(at, await pages.first(key, seconds=PAGE_SECONDS)))
        # For a copy to arrive, if there is one.
        await asyncio.sleep(2)
        copies += max(0, len(pages.accepted(key)) - 1)
    return {**summary(seconds), "copies": copies}


async def silences_kept(system: System, plan: Plan) -> dict[str, Any]:
    """Set a silence, kill the notifier as soon as it has said that it took it, and look whether it is there after."""
    kept = 0
    for number in range(plan.silences):
        port = system.notifier.port
        now = datetime.now(UTC)
        silence = {
            "matchers": [{"name": "alertname", "value": f"Silent{number}", "isRegex": False}],
            "startsAt": now.isoformat(),
            "endsAt": (now + timedelta(hours=1)).isoformat(),
            "createdBy": "benchmark",
            "comment": "kept?",
        }
        made = await call(port, "POST", "/api/v2/silences", json.dumps(silence).encode())
        system.notifier.kill()
        await system.notifier.start()
        found = await call(port, "GET", "/api/v2/silences")
        kept += made["silenceID"] in {each["id"] for each in found}
        harness.progress(f"{system.name}: {kept} of {number + 1} silences kept")
    return {"acknowledged": plan.silences, "kept": kept}


async def scenarios(system: System, pages: Pages, plan: Plan) -> dict[str, Any]:
    """Run all of them; those that may take minutes side by side."""
    await asyncio.sleep(2 * alerting_prometheus.SECONDS)
    result: dict[str, Any] = {"at_rest": await steady(system, plan.steady_seconds)}
    result["first_page_seconds"] = await first_pages(system, pages, plan)
    harness.progress(f"{system.name}: second alert of a group, and a receiver that answers 429")
    second, limited = await asyncio.gather(
        second_of_group(system, pages, plan), retry_after(system, pages, plan)
    )
    result |= {"second_alert_of_group": second, "receiver_answers_429": limited}
    result["killed_one_second_after_breach_seconds"] = await killed(system, pages, plan)
    result["silences_over_kill"] = await silences_kept(system, plan)
    return result


async def measure(plan: Plan, *, only: str | None) -> dict[str, Any]:
    """Run the scenarios on Windsock, and then on its peer if there is one here."""
    result: dict[str, Any] = {
        "benchmark": "alerting",
        "rules": plan.rules,
        "operations": len(OPERATIONS),
    }
    for name, make in SYSTEMS.items():
        if only not in {None, name}:
            continue
        if name == alerting_prometheus.NAME and (why := alerting_prometheus.obtainable()):
            result[name] = why
            continue
        async with receiving() as pages:
            made = make(
                pages, plan.watched(), {LIMITED}, rule_count=plan.rules, operations=OPERATIONS
            )
            async with made as system:
                result[name] = await scenarios(system, pages, plan)
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pages", type=int, default=30, help="first pages; now %(default)s")
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--silences", type=int, default=10)
    parser.add_argument("--rules", type=int, default=200)
    parser.add_argument("--steady", type=float, default=60, help="seconds of rest to look at")
    parser.add_argument(
        "--quick", action="store_true", help="a look at all of it, without Alertmanager's waits"
    )
    parser.add_argument("--only", choices=["windsock", "prometheus"], help="one system alone")
    options = parser.parse_args()
    plan = QUICK
    if not options.quick:
        plan = Plan(
            rules=options.rules,
            pages=options.pages,
            kills=options.kills,
            silences=options.silences,
            steady_seconds=options.steady,
            group_seconds=330.0,
        )
    harness.report(asyncio.run(measure(plan, only=options.only)))


if __name__ == "__main__":
    main()
