"""Unleash as the benchmarks of flags see it: its open-source server from npm, on the same PostgreSQL."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from benchmarks import harness
from benchmarks.processes import Process
from windsock_embedded import ports

VERSION = "7.5.1"
PLACE = Path(__file__).parents[1] / ".task" / "peers" / "unleash"
ADMIN = "*:*.benchmark-admin"
BACKEND = "default:development.benchmark-backend"
FRONTEND = "default:development.benchmark-frontend"
ENVIRONMENT = "development"
FEATURES = "/api/admin/projects/default/features"


@dataclass(frozen=True, slots=True)
class Unleash:
    """A running server; its clients use the development environment."""

    process: Process
    session: aiohttp.ClientSession

    @property
    def port(self) -> int:
        return self.process.port

    async def create(self, name: str) -> None:
        """Create a flag that is on for half of the users with two conditions, as the others' flags are."""
        await self._admin("POST", FEATURES, {"name": name, "type": "release"})
        strategy = {
            "name": "flexibleRollout",
            "parameters": {"rollout": "50", "stickiness": "userId", "groupId": name},
            "constraints": [
                {"contextName": "country", "operator": "IN", "values": ["SE"]},
                {"contextName": "plan", "operator": "IN", "values": ["pro", "team"]},
            ],
        }
        place = f"{FEATURES}/{name}/environments/{ENVIRONMENT}"
        await self._admin("POST", f"{place}/strategies", strategy)
        await self.switch(name, on=True)

    async def switch(self, name: str, *, on: bool) -> None:
        """Turn a flag on or off; returns when the server has answered."""
        place = f"{FEATURES}/{name}/environments/{ENVIRONMENT}"
        await self._admin("POST", f"{place}/{'on' if on else 'off'}")

    async def get(self, path: str, token: str) -> tuple[Any, Mapping[str, str]]:
        """Return the JSON at ``path`` and the headers of the answer."""
        headers = {"Authorization": token}
        async with self.session.get(f"http://127.0.0.1:{self.port}{path}", headers=headers) as got:
            if got.status != 200:
                sys.exit(f"unleash: {path} answered {got.status}: {await got.text()}")
            return await got.json(), dict(got.headers)

    async def _admin(self, method: str, path: str, body: object = None) -> None:
        url = f"http://127.0.0.1:{self.port}{path}"
        headers = {"Authorization": ADMIN}
        async with self.session.request(method, url, json=body, headers=headers) as answer:
            if answer.status >= 300:
                sys.exit(f"unleash: {path} answered {answer.status}: {await answer.text()}")


def install() -> Path:
    """Return the server's program; fetches it where it is not there yet."""
    program = PLACE / "node_modules" / "unleash-server" / "dist" / "server.js"
    mark = PLACE / "version"
    if not mark.exists() or mark.read_text() != VERSION:
        harness.progress(f"installing unleash-server {VERSION}")
        PLACE.mkdir(parents=True, exist_ok=True)
        (PLACE / "package.json").write_text(json.dumps({"name": "peers", "private": True}))
        command = ["npm", "install", "--no-audit", "--no-fund", "--no-package-lock"]
        options = ["--ignore-scripts", "--loglevel=error", f"unleash-server@{VERSION}"]
        subprocess.run([*command, *options], cwd=PLACE, check=True, stdout=subprocess.DEVNULL)
        mark.write_text(VERSION)
    return program


@asynccontextmanager
async def unleash(database_url: str) -> AsyncGenerator[Unleash]:
    """Run the server on an empty database of its own for the life of the block."""
    environment = {
        "DATABASE_URL": database_url,
        "DATABASE_SSL": "false",
        "HTTP_HOST": "127.0.0.1",
        "HTTP_PORT": str(ports.free_port()),
        "INIT_ADMIN_API_TOKENS": ADMIN,
        "INIT_BACKEND_API_TOKENS": BACKEND,
        "INIT_FRONTEND_API_TOKENS": FRONTEND,
        "CHECK_VERSION": "false",
        "SEND_TELEMETRY": "false",
        "LOG_LEVEL": "error",
        "NODE_ENV": "production",
    }
    process = Process(
        "unleash-server",
        ["node", str(install())],
        int(environment["HTTP_PORT"]),
        "/health",
        environment,
    )
    try:
        await process.start()
        async with aiohttp.ClientSession() as session:
            yield Unleash(process, session)
    finally:
        process.stop()
