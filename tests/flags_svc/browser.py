"""A real browser with a page that uses flags."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from windsock_kit.testing import serving

DEADLINE = 40.0
_NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
_FLAGS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"),
    *("--no-first-run", "--no-default-browser-check", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--disable-extensions", "--mute-audio"),
)


def _site(folder: Path, told: asyncio.Queue[Any]) -> Starlette:
    async def tell(request: Request[Any]) -> Response:
        told.put_nowait(await request.json())
        return Response(status_code=204)

    return Starlette(
        routes=[
            Route("/told", tell, methods=["POST"]),
            Mount("/", StaticFiles(directory=folder)),
        ]
    )


@asynccontextmanager
async def browsing(
    folder: Path, base: str
) -> AsyncGenerator[Callable[[], Awaitable[dict[str, Any]]]]:
    """Show the page of ``folder`` for the block, with the flags of ``base``; yields what tells what it says next."""
    program = next(filter(None, map(shutil.which, _NAMES)), None)
    if program is None:
        pytest.skip("there is no Chromium here")
    told: asyncio.Queue[Any] = asyncio.Queue()
    async with (
        serving(_site(folder, told)) as site,
        _running(program, f"{site}/page.html?base={base}", folder / "profile") as ended,
    ):

        async def next_told() -> dict[str, Any]:
            saying = asyncio.create_task(told.get())
            await asyncio.wait(
                {saying, ended}, timeout=DEADLINE, return_when=asyncio.FIRST_COMPLETED
            )
            if saying.done():
                found: dict[str, Any] = saying.result()
                return found
            saying.cancel()
            if ended.done():
                pytest.skip(f"{program} does not run here")
            raise TimeoutError("the page says nothing")

        try:
            assert await next_told() == {"open": True}
        except TimeoutError:
            pytest.skip(f"{program} opens no page here")
        yield next_told


@asynccontextmanager
async def _running(program: str, address: str, profile: Path) -> AsyncGenerator[asyncio.Task[int]]:
    """Run the browser for the block; yields what is done when it has ended."""
    process = await asyncio.create_subprocess_exec(
        *(program, *_FLAGS, f"--user-data-dir={profile}", address),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    ended = asyncio.create_task(process.wait())
    try:
        yield ended
    finally:
        if not ended.done():
            process.terminate()
            await asyncio.wait({ended}, timeout=DEADLINE)
        if not ended.done():
            process.kill()
        await ended
