"""Receivers that would keep the service waiting, or have it swallow what it cannot hold."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx

from alerts_svc.notify.http import TIMEOUT_SECONDS
from tests.alerts_svc.receivers import Reply, WebhookReceiver, running
from tests.faults.alerting.scripted_metrics import ScriptedMetrics
from tests.faults.alerting.service import PATIENT, AlertsService, rule
from tests.faults.service import until

AlertsFor = Callable[..., AlertsService]
GIGABYTE = 1 << 30
MEGABYTE = 1 << 20
HOSTILE = {
    "silent": Reply(delay=3_600),
    "dripping": Reply(500, drip=1.0),
    "endless": Reply(500, size=GIGABYTE),
    "resetting": Reply(500, reset="middle"),
}
# By name of the channel: how its first attempt ends, in words, and after how many seconds at most.
ENDS = {
    "silent": ("no answer", TIMEOUT_SECONDS),
    "dripping": ("answered 500", TIMEOUT_SECONDS),
    "endless": ("answered 500", 5.0),
    "resetting": ("answered 500", 5.0),
    "slow-head": ("no answer", TIMEOUT_SECONDS),
    "endless-head": ("the answer is not HTTP", 5.0),
}


@asynccontextmanager
async def raw_receiver(begin: bytes, piece: bytes, pause: float) -> AsyncGenerator[str]:
    """Serve an answer whose head begins and never ends."""
    writers: set[asyncio.StreamWriter] = set()

    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.add(writer)
        with suppress(OSError):
            writer.write(begin)
            while not writer.is_closing():
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(pause)
        writer.close()
        writers.discard(writer)

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hook"
    finally:
        server.close()
        while writers:
            for writer in writers:
                writer.transport.abort()
            await asyncio.sleep(0.05)


async def hostile_channels(service: AlertsService, stack: AsyncExitStack) -> None:
    for name, reply in HOSTILE.items():
        receiver = await stack.enter_async_context(running(WebhookReceiver(standing=reply)))
        await service.set_webhook(name, receiver.url)
    head = b"HTTP/1.1 200 OK\r\nX-Long: "
    slow = await stack.enter_async_context(raw_receiver(head, b"x", 0.5))
    await service.set_webhook("slow-head", slow)
    endless = await stack.enter_async_context(raw_receiver(head, b"x" * 65_536, 0.0))
    await service.set_webhook("endless-head", endless)


def most_memory(service: AlertsService) -> int:
    """Return the most memory the process has ever used, in bytes."""
    lines = Path(f"/proc/{service.pid}/status").read_text().splitlines()
    [peak] = [line for line in lines if line.startswith("VmHWM:")]
    return int(peak.split()[1]) * 1024


async def longest_silence(service: AlertsService) -> float:
    """Ask for its health until cancelled, and return the longest it took to answer."""
    longest = 0.0
    async with httpx.AsyncClient(timeout=30) as client:
        with suppress(asyncio.CancelledError):
            while True:
                asked = time.monotonic()
                answer = await client.get(f"{service.url}/livez")
                assert answer.is_success
                longest = max(longest, time.monotonic() - asked)
                await asyncio.sleep(0.05)
    return longest


async def first_attempts(service: AlertsService) -> dict[str, dict[str, Any]]:
    """Return the first attempt on each hostile channel, as far as they have ended."""
    found = {}
    listed = await service.call("GET", "/api/alerts/deliveries")
    for each in listed["deliveries"]:
        if each["channel"] in ENDS:
            told = await service.call("GET", f"/api/alerts/deliveries/{each['id']}")
            tries = [each for each in told["tries"] if each["ended_at"] is not None]
            if tries:
                found[each["channel"]] = tries[0]
    return found


async def test_hostile_receivers_cost_neither_memory_nor_anybody_elses_time(
    alerts_url: str, alerts_for: AlertsFor, metrics: ScriptedMetrics
) -> None:
    """Fault 8: silence, a byte a second, a gigabyte, resets, heads without end: cut in time, and tried again."""
    service = alerts_for(alerts_url, **PATIENT)
    await service.start()
    async with AsyncExitStack() as stack:
        await hostile_channels(service, stack)
        healthy = await stack.enter_async_context(running(WebhookReceiver()))
        healthy.secrets = [await service.set_webhook("healthy", healthy.url)]
        await service.set_rule(rule("Failing"))
        before = most_memory(service)
        watching = asyncio.create_task(longest_silence(service))

        breached = time.monotonic()
        metrics.set("performance.errors", 0.5, samples=15, operation="chat")
        page = (await healthy.until(1))[0]
        metrics.set("performance.errors", 0.0, samples=15, operation="chat")
        resolve = (await healthy.until(2, 30))[1]

        async def ended() -> bool:
            await asyncio.sleep(0.3)
            return len(await first_attempts(service)) == len(ENDS)

        await until(ended, "each attempt was cut", seconds=TIMEOUT_SECONDS + 10)
        watching.cancel()
        longest = await watching
        attempts = await first_attempts(service)
        used = most_memory(service) - before

    assert page.at - breached < 5
    assert healthy.received == [page, resolve]
    assert resolve.json["status"] == "resolved"
    assert healthy.problems == []
    assert longest < 2
    assert used < 48 * MEGABYTE
    for name, (reason, seconds) in ENDS.items():
        first = attempts[name]
        assert reason in first["reason"], name
        assert first["outcome"] in {"retry", "unknown"}, name
        assert first["next_at"] is not None, name
        assert _seconds(first) < seconds + 1.5, name


def _seconds(attempt: dict[str, Any]) -> float:
    began, ended = (datetime.fromisoformat(attempt[name]) for name in ("began_at", "ended_at"))
    return (ended - began).total_seconds()
