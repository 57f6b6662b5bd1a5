"""OpenFeature's web provider in a Node.js process of its own, and how tests talk with it."""

from __future__ import annotations

import asyncio
import itertools
import shutil
import subprocess
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest

HERE = Path(__file__).parent / "web"
DEADLINE = 30.0
_INSTALL_SECONDS = 50.0
_OLDEST_NODE = 20
Line = dict[str, Any]


def installed(folder: Path) -> Path:
    """Put the script and its packages into ``folder``; skips the test where they cannot be had."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        pytest.skip("there is no Node.js here")
    version = subprocess.run([node, "--version"], capture_output=True, text=True, check=True)
    if int(version.stdout.removeprefix("v").partition(".")[0]) < _OLDEST_NODE:
        pytest.skip(f"Node.js is too old: {version.stdout.strip()}")
    for path in HERE.iterdir():
        if path.is_file():
            shutil.copy(path, folder)
    command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--fetch-retries=0"]
    try:
        made = subprocess.run(
            command,
            check=False,
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=_INSTALL_SECONDS,
        )
    except subprocess.TimeoutExpired:
        pytest.skip(f"npm had not got the packages after {_INSTALL_SECONDS:g} seconds")
    if made.returncode != 0:
        pytest.skip(f"npm cannot get the packages: {made.stderr.strip()[-300:]}")
    return folder


class WebClient:
    """The page, as far as there is one."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.lines: list[Line] = []
        self._process = process
        self._ids = itertools.count(1)
        self._said = asyncio.Condition()

    async def listen(self) -> None:
        """Take note of what happens, until the process ends."""
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            async with self._said:
                self.lines.append(orjson.loads(line))
                self._said.notify_all()

    async def heard(self, wanted: Callable[[Line], bool], *, since: int = 0) -> Line:
        """Wait until something has happened, not counting the first ``since`` lines."""

        def found() -> Line | None:
            return next((line for line in self.lines[since:] if wanted(line)), None)

        async with asyncio.timeout(DEADLINE), self._said:
            await self._said.wait_for(lambda: found() is not None)
        line = found()
        assert line is not None
        return line

    async def do(self, action: str, **given: Any) -> Any:
        """Have the page do something; raises ``RuntimeError`` with what went wrong."""
        number = next(self._ids)
        assert self._process.stdin is not None
        self._process.stdin.write(orjson.dumps({"id": number, "action": action, **given}) + b"\n")
        line = await self.heard(lambda line: line.get("done") == number)
        if "failed" in line:
            raise RuntimeError(line["failed"])
        return line["result"]

    async def details(self, key: str, otherwise: Any) -> Line:
        """Evaluate a flag as a page does."""
        found: Line = await self.do("details", key=key, otherwise=otherwise)
        return found

    async def value(self, key: str, otherwise: Any) -> Any:
        """Return a flag's value."""
        return (await self.details(key, otherwise))["value"]

    async def until(self, key: str, value: Any, otherwise: Any) -> None:
        """Wait until a flag has a value; the page hears by itself that it has."""
        async with asyncio.timeout(DEADLINE):
            # The page tells that something has changed, and not yet that it counts.
            while await self.value(key, otherwise) != value:  # noqa: ASYNC110
                await asyncio.sleep(0.02)


@asynccontextmanager
async def web_client(folder: Path) -> AsyncGenerator[WebClient]:
    """Run the page for the block."""
    process = await asyncio.create_subprocess_exec(
        *("node", "client.mjs"),
        cwd=folder,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    client = WebClient(process)
    listening = asyncio.create_task(client.listen())
    try:
        yield client
    finally:
        process.kill()
        await process.wait()
        await listening
