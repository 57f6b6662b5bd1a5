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

from windsock_embedded import migrations, nginx, ports, postgres, processes, redis, welcome
from windsock_embedded.errors import EmbeddedError
from windsock_embedded.folder import Folder
from windsock_embedded.postgres import PostgresServer
from windsock_embedded.progress import NAME_WIDTH, Progress
from windsock_embedded.services import Service
from windsock_embedded.settings import Settings, port_variable
from windsock_embedded.supervisor import Supervisor

SERVICE_READY_SECONDS = 60.0
# The suite is up meanwhile, but its user waits for the line that says so.
DEMO_READY_SECONDS = 30.0


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
        processes.allow_many_files()
        server = self._start_postgres(supervisor)
        self._start_redis(supervisor)
        self._start_services(server, supervisor)
        self.folder.save_state(
            {
                "addresses": welcome.addresses(self.settings, self.services, self.folder),
                "demo": welcome.demo(self.settings, self.services),
                "ports": dict(self.settings.ports),
            }
        )

    def _check_ports(self) -> None:
        demo = {service.port for service in self.services if service.demo}
        used = ["postgres", "redis", *(s.port for s in self.services if s.port), "gateway"]
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
                    or_else=", or leave the demo out with --no-demo" if name in demo else "",
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

    def _start_services(self, server: PostgresServer, supervisor: Supervisor) -> None:
        """Start all that listen before waiting for any: most of their time goes into imports.

        The demo reaches the suite through the gateway, which so starts before it and stops after it.
        """
        suite = [service for service in self.services if service.port and not service.demo]
        demo = [service for service in self.services if service.port and service.demo]
        started = {s.name: self._start_service(s, server, supervisor) for s in suite}
        started["gateway"] = self._start_gateway(supervisor)
        started |= {s.name: self._start_service(s, server, supervisor) for s in demo}
        for service in suite:
            self._await(service, started[service.name], SERVICE_READY_SECONDS, supervisor)
        self._await_gateway(started["gateway"], supervisor)
        for service in demo:
            self._await_demo(service, started[service.name], supervisor)
        for service in self.services:
            if not service.port:
                self._start_service(service, server, supervisor)
                self.progress.say(f"  {service.name:<{NAME_WIDTH}} started")

    def _start_service(
        self, service: Service, server: PostgresServer, supervisor: Supervisor
    ) -> float:
        """Start a service on its migrated schema and return when (monotonic)."""
        database_url = asyncio.run(self._migrated(service, server)) if service.schema else ""
        facts = self._facts(service, database_url)
        program = processes.Program(
            name=service.name,
            argv=service.argv(facts),
            log=self.folder.log(service.name),
            environment=service.variables(facts, self.settings.environment),
            stop_seconds=15.0,
        )
        supervisor.start(program)
        return time.monotonic()

    async def _migrated(self, service: Service, server: PostgresServer) -> str:
        """Bring the schema of ``service`` up to date and return the address of its role."""
        schema, folder = service.schema or "", service.migrations()
        url = await postgres.ensure_role(server, schema)
        if folder:
            with self.progress.part("migrations", f"schema {schema}"):
                await migrations.migrate(
                    url, schema=schema, folder=folder, environment=self.settings.environment
                )
        return url

    def _facts(self, service: Service, database_url: str) -> dict[str, object]:
        """Return what the data of a service may name."""
        number = self.settings.ports
        probed = [
            f",{s.name}=http://127.0.0.1:{number[s.port]}{s.probed}"
            for s in self.services
            if s.port and s.probed
        ]
        return {
            **{f"{name}_port": port for name, port in number.items()},
            "port": number[service.port] if service.port else "",
            "database_url": database_url,
            "redis_url": redis.url(number["redis"]),
            "probes": "".join(probed),
            "data_dir": self.folder.path,
        }

    def _await(
        self, service: Service, started: float, seconds: float, supervisor: Supervisor
    ) -> None:
        port = self.settings.ports[service.port or ""]
        with self.progress.part(service.name, f"http://127.0.0.1:{port}", since=started):
            self._wait_http(service.name, port, "/readyz", seconds, supervisor)

    def _await_demo(self, service: Service, started: float, supervisor: Supervisor) -> None:
        """Wait like for any other, but let nobody miss his suite for it."""
        try:
            self._await(service, started, DEMO_READY_SECONDS, supervisor)
        except EmbeddedError as error:
            line, *said = str(error).splitlines()
            self.progress.say(f"  {line.removesuffix(':')}; everything else is up")
            # The last line that it wrote tells why, if anything does.
            for reason in said[-1:]:
                self.progress.say(reason)

    def _start_gateway(self, supervisor: Supervisor) -> float:
        program = nginx.program(
            self.folder.path,
            ports=self.settings.ports,
            logs=self.folder.logs,
            environment=self.settings.environment,
        )
        supervisor.start(program)
        return time.monotonic()

    def _await_gateway(self, started: float, supervisor: Supervisor) -> None:
        port = self.settings.ports["gateway"]
        with self.progress.part("gateway", f"http://127.0.0.1:{port}", since=started):
            self._wait_http("gateway", port, "/healthz", SERVICE_READY_SECONDS, supervisor)

    def _wait_http(
        self, name: str, port: int, path: str, seconds: float, supervisor: Supervisor
    ) -> None:
        status = 0

        def ready() -> bool:
            nonlocal status
            supervisor.require_alive(name)
            status = _status(port, path)
            return status == http.client.OK

        if not processes.wait_until(ready, seconds):
            said = f"answers {status}" if status else "does not answer"
            raise EmbeddedError(
                f"{name} is not ready: after {seconds:.0f} s {path} {said}"
                f" (log: {self.folder.log(name)}):\n{self.folder.log_tail(name)}"
            )


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
