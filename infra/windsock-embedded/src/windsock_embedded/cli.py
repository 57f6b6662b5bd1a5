"""The command line: up, down, status, migrate."""

import argparse
import asyncio
import os
import signal
import sys
import traceback
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from shlex import quote

from windsock_embedded import migrations, postgres
from windsock_embedded.errors import EmbeddedError
from windsock_embedded.folder import Folder
from windsock_embedded.processes import wait_until
from windsock_embedded.progress import NAME_WIDTH, Progress
from windsock_embedded.services import SERVICES, Service
from windsock_embedded.settings import DEFAULT_PORTS, Settings, port_variable
from windsock_embedded.stack import Stack

STOP_SECONDS = 90.0


def main(arguments: Sequence[str] | None = None, *, services: Sequence[Service] = SERVICES) -> int:
    """Run a command and return its exit status."""
    try:
        status = _run(arguments, services)
        sys.stdout.flush()
    except EmbeddedError as error:
        print(f"windsock: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        # Whoever reads our words, such as head, has enough of them; nothing is to be written at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return status


def _run(arguments: Sequence[str] | None, services: Sequence[Service]) -> int:
    settings = Settings.from_env()
    options = _parser(settings).parse_args(arguments)
    settings = _with_flags(settings, options)
    folder = Folder(settings.data_dir)
    chosen = [service for service in services if settings.demo or not service.demo]
    stack = Stack(settings, chosen, folder, Progress())
    if options.command == "up":
        return _detach(stack) if options.detach else _up(stack, options.parent)
    if options.command == "down":
        return _down(folder)
    if options.command == "status":
        return _status(stack)
    return _migrate(stack)


def _parser(settings: Settings) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="./task", description="Run Windsock's servers and services on 127.0.0.1."
    )
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument(
        "--data-dir",
        type=Path,
        default=settings.data_dir,
        help="databases, logs and state: WINDSOCK_DATA_DIR; now %(default)s",
    )
    for name in DEFAULT_PORTS:
        shared.add_argument(
            f"--{name}-port",
            type=_port,
            default=settings.ports[name],
            metavar="PORT",
            help=f"{port_variable(name)}; now %(default)s",
        )
    parser.set_defaults(demo=settings.demo)
    commands = parser.add_subparsers(dest="command", required=True)

    def command(name: str, does: str) -> argparse.ArgumentParser:
        return commands.add_parser(
            name, parents=[shared], prog=f"./task {name} --", help=does, description=does
        )

    up = command("up", "Start everything and wait until it is ready; Ctrl-C stops it.")
    up.add_argument(
        "--detach", action="store_true", help="return when all is ready; ./task down stops it"
    )
    up.add_argument(
        "--no-demo",
        dest="demo",
        action="store_false",
        default=argparse.SUPPRESS,
        help="without the demo: a simulated model, an application, its traffic; WINDSOCK_NO_DEMO=1",
    )
    # Taskfile.yml's: when ./task is killed with SIGKILL, its launcher ends as well.
    up.add_argument(
        "--follow-parent",
        dest="parent",
        action="store_const",
        const=os.getppid(),
        help=argparse.SUPPRESS,
    )
    command("down", "Stop what ./task up started.")
    command("status", "Say what is running, and where; exit status 1 if nothing is.")
    command("migrate", "Bring the database of the running stack up to date.")
    return parser


def _port(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise argparse.ArgumentTypeError(f"expected a port from 1 to 65535, got {text!r}")
    return int(text)


def _with_flags(settings: Settings, options: argparse.Namespace) -> Settings:
    chosen = {name: getattr(options, f"{name}_port") for name in DEFAULT_PORTS}
    return replace(settings, data_dir=options.data_dir, ports=chosen, demo=options.demo)


def _up(stack: Stack, parent: int | None) -> int:
    stack.folder.create()
    if not stack.folder.lock():
        return _already_up(stack.folder)
    stack.run(when_ready=lambda: _announce(stack.folder, "Ctrl-C stops everything."), parent=parent)
    return 0


def _already_up(folder: Folder) -> int:
    state = folder.state()
    if state is None:
        raise EmbeddedError("another launcher is just starting or stopping here; try again shortly")
    _announce(
        folder, "It was up already, as it was started then: ./task down first for other options."
    )
    return 0


def _announce(folder: Folder, last: str) -> None:
    state = folder.state() or {}
    print("\nWindsock is up.\n")
    for line in state.get("addresses", ()):
        print(line)
    if demo := state.get("demo"):
        print("", *demo, sep="\n")
    print(f"\n{last}", flush=True)


def _how_to_stop(settings: Settings) -> str:
    usual = Settings.from_env(settings.environment).data_dir
    named = "" if settings.data_dir == usual else f" -- --data-dir {quote(str(settings.data_dir))}"
    return f"./task down{named} stops it."


def _detach(stack: Stack) -> int:
    """Run the stack in a process of its own and return when it is ready or has failed.

    Until then that process has our output, so the progress is seen as it happens.
    """
    stack.folder.create()
    if stack.folder.locked():
        return _already_up(stack.folder)
    reader, writer = os.pipe()
    sys.stdout.flush()
    pid = os.fork()
    if pid:
        os.close(writer)
        with os.fdopen(reader, "rb") as pipe:
            ready = pipe.read() == b"ready"
        if not ready:
            os.waitpid(pid, 0)
        return 0 if ready else 1
    os.close(reader)
    status = 1
    try:
        status = _run_detached(stack, writer)
    except EmbeddedError as error:
        print(f"windsock: {error}", file=sys.stderr)
    except BaseException:  # noqa: BLE001  the last line of a process that must not return
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _run_detached(stack: Stack, writer: int) -> int:
    os.setsid()

    def ready() -> None:
        _announce(stack.folder, _how_to_stop(stack.settings))
        log = os.open(stack.folder.log("launcher"), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)
        os.dup2(log, 1)
        os.dup2(log, 2)
        os.write(writer, b"ready")
        os.close(writer)

    if not stack.folder.lock():
        raise EmbeddedError("another launcher was faster")
    stack.run(when_ready=ready)
    return 0


def _down(folder: Folder) -> int:
    if not folder.locked():
        left = folder.sweep()
        print(f"Stopped what a killed run left: {', '.join(left)}" if left else "Nothing is up.")
        return 0
    launcher = folder.launcher()
    if launcher is None:
        raise EmbeddedError("the launcher's lock is held, but by whom is not on record")
    os.kill(launcher.pid, signal.SIGTERM)
    if not wait_until(lambda: not folder.locked(), STOP_SECONDS):
        raise EmbeddedError(f"the launcher (pid {launcher.pid}) did not stop in {STOP_SECONDS:g} s")
    print("Windsock is down.")
    return 0


def _status(stack: Stack) -> int:
    folder = stack.folder
    if not folder.locked():
        print("Nothing is up.")
        return 1
    for record in reversed(folder.records()):
        print(
            f"  {record.name:<{NAME_WIDTH}} {'running' if record.alive() else 'dead'}, pid {record.pid}"
        )
    _announce(folder, _how_to_stop(stack.settings))
    return 0


def _migrate(stack: Stack) -> int:
    state = stack.folder.state() if stack.folder.locked() else None
    if state is None:
        raise EmbeddedError("the database is not running: ./task up starts it, and migrates too")
    server = postgres.running(stack.folder.path, port=state["ports"]["postgres"])
    for service in stack.services:
        folder = service.migrations()
        if service.schema is None or folder is None:
            continue
        url = asyncio.run(postgres.ensure_role(server, service.schema))
        applied = asyncio.run(
            migrations.migrate(
                url, schema=service.schema, folder=folder, environment=stack.settings.environment
            )
        )
        print(f"{service.schema}: {', '.join(applied) or 'up to date'}")
    return 0
