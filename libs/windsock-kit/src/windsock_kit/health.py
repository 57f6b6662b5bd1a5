"""Liveness and readiness."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Any

import structlog
from starlette.requests import Request
from starlette.responses import Response

from windsock_kit import responses
from windsock_kit.errors import ServiceError, render
from windsock_kit.loops import PeriodicLoop

log = structlog.get_logger(__name__)

Check = Callable[[], Awaitable[None] | None]
Handler = Callable[[Request[Any]], Awaitable[Response]]


class NotReadyError(ServiceError):
    """The process lives but should get no traffic."""

    status = HTTPStatus.SERVICE_UNAVAILABLE
    code = "not_ready"


async def livez(_: Request[Any]) -> Response:
    """Answer 200 while the event loop turns; it depends on nothing else."""
    return responses.json({"status": "live"})


def readyz(
    checks: Mapping[str, Check], *, loops: Sequence[PeriodicLoop] = (), timeout: float = 2.0
) -> Handler:
    """Return a handler that answers 200 when every check passes, else a 503 problem.

    A check fails by raising or by taking longer than ``timeout`` seconds; all of them run at once.
    A loop fails when no tick has succeeded for three intervals. The problem's ``checks`` tells each
    outcome; the exceptions themselves go to the log only.
    """

    async def ready(_: Request[Any]) -> Response:
        results = await asyncio.gather(
            *(asyncio.wait_for(_run(check), timeout) for check in checks.values()),
            return_exceptions=True,
        )
        outcomes = {
            name: _outcome(name, result, timeout)
            for name, result in zip(checks, results, strict=True)
        }
        for loop in loops:
            age = f"no success for {loop.seconds_without_success:.1f} s"
            outcomes[f"loop:{loop.name}"] = age if loop.stale else "ok"

        failed = [name for name, outcome in outcomes.items() if outcome != "ok"]
        if failed:
            return render(
                NotReadyError(
                    f"not ready: {', '.join(failed)}", retry_after=1, extra={"checks": outcomes}
                )
            )
        return responses.json({"status": "ready", "checks": outcomes})

    return ready


async def _run(check: Check) -> None:
    result = check()
    if inspect.isawaitable(result):
        await result


def _outcome(name: str, result: BaseException | None, timeout: float) -> str:
    if result is None:
        return "ok"
    log.warning("readiness_check_failed", check=name, error=repr(result))
    if isinstance(result, ServiceError):
        return result.detail
    if isinstance(result, TimeoutError):
        return f"no answer within {timeout:g} s"
    return type(result).__name__
