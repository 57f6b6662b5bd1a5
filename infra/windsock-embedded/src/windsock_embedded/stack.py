"""Brings the parts up in order, watches them, and takes them down in reverse."""

import asyncio
import http.client
import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import FrameType

from windsock_embedded import migrations, nginx, ports, postgres, processes, redis
from windsock_embedded.errors import EmbeddedError
from windsock_embedded.folder import Folder
from windsock_embedded.postgres import PostgresServer
from windsock_embedded.progress import Progress
from windsock_embedded.services import Service
from windsock_embedded.settings import Settings, port_variable
from windsock_embedded.supervisor import Supervisor

SERVICE_READY_SECONDS = 60.0


class StopRequested(BaseException):
    """Ctrl-C, SIGTERM or the end of the terminal; like KeyboardInterrupt, no error."""


@dataclass(frozen=True, slots=True)
class Stack:
    """Everything that one launcher runs."""

    settings: Settings
    services: Sequence[Service]
    folder: Folder
    progress: Progress

    def run(self, *, when_ready: Callable[[], None], parent: int | None = None) -> None:
        """Run until told to stop; everything is stopped when this returns or raises.

        ``parent`` is the process to end with, for one that may be killed before it can tell.
        """
        supervisor = Supervisor(self.folder, self.progress.say)
        _on_stop_signals(_raise)
        try:
            self._bring_up(supervisor)
            when_ready()
            while parent is None or os.getppid() == parent:
                supervisor.tick(time.monotonic())
                time.sleep(0.2)
        except StopRequested:
            self.progress.say("Stopping.")
        finally:
            # A second Ctrl-C does not cut a clean stop short; every wait in it is bounded.
            _on_stop_signals(signal.SIG_IGN)
            supervisor.stop()
            self.folder.unlock()

    def _bring_up(self, supervisor: Supervisor) -> None:
        if left := self.folder.sweep():
            self.progress.say(f"An earlier run was killed; stopped what it left: {', '.join(left)}")
        self.folder.bound_logs()
        self._check_ports()
        server = self._start_postgres(supervisor)
        self._start_redis(supervisor)
        for service in self.services:
            self._start_service(service, server, supervisor)
        self._start_gateway(supervisor)
        self.folder.save_state({"addresses": self.addresses(), "ports": dict(self.settings.ports)})

    def _check_ports(self) -> None:
        used = ["postgres", "redis", *(service.port for service in self.services), "gateway"]
        taken = []
        for port, count in Counter(self.settings.ports[name] for name in used).items():
            if count > 1:
                twice = " and ".join(n for n in used if self.settings.ports[n] == port)
                raise EmbeddedError(f"port {port} is chosen for {twice}: give each its own")
        for name in used:
            try:
                ports.check(
                    name,
                    self.settings.ports[name],
                    flag=f"--{name}-port",
                    variable=port_variable(name),
                )
            except EmbeddedError as error:
                taken.append(str(error))
        if taken:
            raise EmbeddedError("\n".join(taken))

    def _start_postgres(self, supervisor: Supervisor) -> PostgresServer:
        port = self.settings.ports["postgres"]
        with self.progress.part("postgres", f"127.0.0.1:{port}"):
            server = postgres.prepare(
                self.folder.path, port=port, environment=self.settings.environment
            )
            program = server.program(self.folder.log("postgres"), self.settings.environment)
            supervisor.start(program)
            asyncio.run(self._open_database(server, supervisor))
        if server.data.parent.parent != self.folder.path:
            self.progress.say(
                f"               its data is in {server.data.parent}: it runs as another user than"
                f" root, who may not enter {self.folder.path}"
            )
        return server

    async def _open_database(self, server: PostgresServer, supervisor: Supervisor) -> None:
        await postgres.wait_ready(server, check=lambda: supervisor.require_alive("postgres"))
        await postgres.ensure_database(server)

    def _start_redis(self, supervisor: Supervisor) -> None:
        port = self.settings.ports["redis"]
        with self.progress.part("redis", f"127.0.0.1:{port}"):
            program = redis.program(
                self.folder.path,
                port=port,
                log=self.folder.log("redis"),
                environment=self.settings.environment,
            )
            supervisor.start(program)
            redis.wait_ready(port, check=lambda: supervisor.require_alive("redis"))

    def _start_service(
        self, service: Service, server: PostgresServer, supervisor: Supervisor
    ) -> None:
        environment = self.settings.environment
        database_url = server.url()
        if service.schema:
            database_url = asyncio.run(postgres.ensure_role(server, service.schema))
            folder = service.migrations()
            if folder:
                with self.progress.part("migrations", f"schema {service.schema}"):
                    asyncio.run(
                        migrations.migrate(
                            database_url,
                            schema=service.schema,
                            folder=folder,
                            environment=environment,
                        )
                    )
        port = self.settings.ports[service.port]
        facts = {
            "database_url": database_url,
            "redis_url": redis.url(self.settings.ports["redis"]),
            "port": port,
        }
        program = processes.Program(
            name=service.name,
            argv=service.command,
            log=self.folder.log(service.name),
            environment=service.variables(facts, environment),
            stop_seconds=15.0,
        )
        with self.progress.part(service.name, f"http://127.0.0.1:{port}"):
            supervisor.start(program)
            self._wait_http(service.name, port, "/readyz", supervisor)

    def _start_gateway(self, supervisor: Supervisor) -> None:
        port = self.settings.ports["gateway"]
        with self.progress.part("gateway", f"http://127.0.0.1:{port}"):
            program = nginx.program(
                self.folder.path,
                ports=self.settings.ports,
                logs=self.folder.logs,
                environment=self.settings.environment,
            )
            supervisor.start(program)
            self._wait_http("gateway", port, "/healthz", supervisor)

    def _wait_http(self, name: str, port: int, path: str, supervisor: Supervisor) -> None:
        status = 0

        def ready() -> bool:
            nonlocal status
            supervisor.require_alive(name)
            status = _status(port, path)
            return status == http.client.OK

        if not processes.wait_until(ready, SERVICE_READY_SECONDS):
            said = f"answers {status}" if status else "does not answer"
            raise EmbeddedError(
                f"{name} is not ready: after {SERVICE_READY_SECONDS:.0f} s {path} {said}"
                f" (log: {self.folder.log(name)}):\n{self.folder.log_tail(name)}"
            )

    def addresses(self) -> list[str]:
        """Return the lines that tell a newcomer where everything is."""
        number = self.settings.ports
        gateway = f"http://127.0.0.1:{number['gateway']}"
        lines = [f"gateway      {gateway}"]
        lines += [f"{s.name:<12} http://127.0.0.1:{number[s.port]}" for s in self.services]
        database = (
            f"postgres     postgresql://{postgres.SUPERUSER}@127.0.0.1:{number['postgres']}"
            f"/{postgres.DATABASE}  (password in {self.folder.path / 'postgres.password'})"
        )
        return [
            *lines,
            database,
            f"redis        {redis.url(number['redis'])}",
            f"logs         {self.folder.logs}",
            f"dashboard    curl '{gateway}/api/metrics/dashboard?time_window_minutes=60'",
        ]


def _status(port: int, path: str) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=3)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return 0
    finally:
        connection.close()


def _raise(_number: int, _frame: FrameType | None) -> None:
    raise StopRequested


def _on_stop_signals(handler: Callable[[int, FrameType | None], None] | signal.Handlers) -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, handler)
