"""Child processes that die with the launcher and can be told from strangers."""

import ctypes
import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from windsock_embedded.errors import EmbeddedError

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
# Every stream of flags is open as long as its client lives, in a service and twice in the gateway.
_MANY_FILES = 20_000


@dataclass(frozen=True, slots=True)
class Account:
    """The user that a child runs as, where it is not the launcher's own."""

    uid: int
    gid: int


@dataclass(frozen=True, slots=True)
class Program:
    """What to start, and the signals that stop it, from polite to final."""

    name: str
    argv: Sequence[str]
    log: Path
    environment: Mapping[str, str]
    cwd: Path | None = None
    account: Account | None = None
    stop_signals: tuple[signal.Signals, ...] = (signal.SIGTERM,)
    stop_seconds: float = 10.0


@dataclass(frozen=True, slots=True)
class ProcessRecord:
    """A process as remembered on disk; ``identity`` tells it from a later one with its pid."""

    name: str
    pid: int
    identity: str
    executable: str
    stop_signals: tuple[int, ...]

    @classmethod
    def load(cls, path: Path) -> "ProcessRecord | None":
        """Read a record; ``None`` when there is none or it was cut short by a crash."""
        try:
            fields = json.loads(path.read_text())
            return cls(**{**fields, "stop_signals": tuple(fields["stop_signals"])})
        except (OSError, ValueError, TypeError, KeyError):
            return None

    def save(self, path: Path) -> None:
        """Write the record so that a reader never sees half of it."""
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part")
        part.write_text(json.dumps(asdict(self)))
        part.replace(path)

    def alive(self) -> bool:
        return identity(self.pid) == self.identity


def identity(pid: int) -> str | None:
    """Name the process behind ``pid`` for all time; ``None`` when it is gone or a zombie."""
    if not _BOOT_ID.exists():
        return _identity_elsewhere(pid)
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    # Fields 3 and 22 of proc_pid_stat(5), counted behind the command's name.
    state, started = fields[0], fields[19]
    return None if state in "ZX" else f"{_BOOT_ID.read_text().strip()}:{started}"


def _identity_elsewhere(pid: int) -> str | None:
    try:
        process = psutil.Process(pid)
        gone = process.status() == psutil.STATUS_ZOMBIE
        return None if gone else str(process.create_time())
    except psutil.NoSuchProcess:
        return None


def die_with_parent(sig: signal.Signals) -> Callable[[], None]:
    """Make a ``preexec_fn``: the kernel sends ``sig`` when the launcher is gone.

    It must run after the change of user, which clears the setting; subprocess
    calls ``preexec_fn`` last. It counts for the thread that forked, so children
    are started from the main thread only.
    """
    parent = os.getpid()

    def run() -> None:
        if _LIBC is not None:
            _LIBC.prctl(_PR_SET_PDEATHSIG, int(sig), 0, 0, 0)
            if os.getppid() != parent:
                os._exit(1)

    return run


def start(program: Program) -> subprocess.Popen[bytes]:
    """Start ``program`` in a session of its own, its output appended to its log."""
    program.log.parent.mkdir(parents=True, exist_ok=True)
    account = program.account
    with program.log.open("ab") as log:
        try:
            return subprocess.Popen(
                list(program.argv),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=program.cwd,
                env=dict(program.environment),
                start_new_session=True,
                preexec_fn=die_with_parent(program.stop_signals[0]),  # noqa: PLW1509  no threads here
                user=account.uid if account else None,
                group=account.gid if account else None,
                extra_groups=[account.gid] if account else None,
            )
        except OSError as error:
            raise EmbeddedError(f"cannot start {program.name}: {error}") from error


def allow_many_files() -> None:
    """Let this process, and those that it starts, open as many files as an ordinary user may ask for."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MANY_FILES if hard == resource.RLIM_INFINITY else min(_MANY_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        # Some systems allow less than they say; the usual limit does for everyday use.
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def record_of(program: Program, process: subprocess.Popen[bytes]) -> ProcessRecord:
    return ProcessRecord(
        name=program.name,
        pid=process.pid,
        identity=identity(process.pid) or "",
        executable=program.argv[0],
        stop_signals=tuple(int(sig) for sig in program.stop_signals),
    )


def stop(program: Program, process: subprocess.Popen[bytes]) -> None:
    """Stop a child with its signals in order, then whatever is left of its group."""
    for sig in (*program.stop_signals, signal.SIGKILL):
        if process.poll() is not None:
            break
        process.send_signal(sig)
        # One that was paused takes a signal only when it goes on.
        process.send_signal(signal.SIGCONT)
        try:
            process.wait(program.stop_seconds)
        except subprocess.TimeoutExpired:
            continue
    kill_group(process.pid, program.argv[0])


def stop_recorded(record: ProcessRecord, *, seconds: float = 10.0) -> bool:
    """Stop a process that an earlier launcher left; tell whether there was anything."""
    found = record.alive()
    for sig in (*record.stop_signals, signal.SIGKILL):
        if not record.alive():
            break
        with suppress(ProcessLookupError):
            os.kill(record.pid, sig)
            os.kill(record.pid, signal.SIGCONT)
        wait_until(lambda: not record.alive(), seconds)
    return kill_group(record.pid, record.executable) or found


def kill_group(group: int, executable: str) -> bool:
    """Kill what a dead leader left in its process group, if it is the same program.

    nginx's workers outlive a master that was killed. A group's id is not given
    to a new process while the group has members, and the program's path is
    compared too, so a stranger is never hit.
    """
    left = [
        process
        for process in psutil.process_iter(["exe", "status"])
        if process.pid != group and _in_group(process, group) and _runs(process, executable)
    ]
    for process in left:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue
    psutil.wait_procs(left, timeout=5)
    return bool(left)


def _in_group(process: psutil.Process, group: int) -> bool:
    try:
        return os.getpgid(process.pid) == group
    except OSError:
        return False


def _runs(process: psutil.Process, executable: str) -> bool:
    exe = process.info["exe"]
    if not exe or process.info["status"] == psutil.STATUS_ZOMBIE:
        return False
    return os.path.realpath(str(exe)) == os.path.realpath(executable)


def wait_until(done: Callable[[], bool], seconds: float) -> bool:
    """Poll ``done`` until it is true or the time is up; return what it said last."""
    deadline = time.monotonic() + seconds
    pause = 0.02
    while not done():
        if time.monotonic() > deadline:
            return False
        time.sleep(pause)
        pause = min(pause * 1.2, 0.5)
    return True
