"""Import every module of each member where only its declared packages are installed.

One shared environment hides an undeclared dependency until a deployment lacks
it. What has not changed since it last passed is not tried again.
"""

import hashlib
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
CACHE = ROOT / ".task" / "isolation"


@dataclass(frozen=True, slots=True)
class Member:
    """A package to try; ``lock`` is ``None`` for a library, which takes versions from dev.txt."""

    folder: str
    package: str
    lock: str | None
    ours: tuple[str, ...] = ()
    # The modules that need an extra, by extra; all others must do without any.
    extras: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


MEMBERS = [
    Member(
        "libs/windsock-kit",
        "windsock_kit",
        None,
        extras={
            "testing": ("windsock_kit.testing",),
            "redis": ("windsock_kit.listening", "windsock_kit.redis_faults"),
        },
    ),
    Member(
        "libs/windsock",
        "windsock",
        None,
        extras={
            extra: tuple(f"windsock.integrations.{module}" for module in modules)
            for extra, modules in {
                "langchain": ("langchain",),
                "openfeature": ("openfeature",),
                "openai": ("openai", "_openai_call", "_openai_streams"),
                "opentelemetry": ("opentelemetry", "_otel_spans"),
            }.items()
        },
    ),
    Member("metrics-svc", "metrics_svc", "metrics-svc", ("libs/windsock-kit",)),
    Member("alerts-svc", "alerts_svc", "alerts-svc", ("libs/windsock-kit",)),
    Member("flags-svc", "flags_svc", "flags-svc", ("libs/windsock-kit", "libs/windsock")),
    Member("loadgen", "loadgen", "loadgen", ("libs/windsock",)),
    Member(
        "loadgen/target/adaptive-questions",
        "adaptive_questions",
        "adaptive-questions",
        ("libs/windsock-kit", "libs/windsock"),
    ),
    Member(
        "loadgen/target/llm-simulator", "llm_simulator", "llm-simulator", ("libs/windsock-kit",)
    ),
    Member("infra/windsock-embedded", "windsock_embedded", "windsock-embedded"),
]

_IMPORT_ALL = """
import importlib, pkgutil, sys
package = importlib.import_module(sys.argv[1])
for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
    if not module.name.endswith("__main__") and module.name not in sys.argv[2:]:
        importlib.import_module(module.name)
"""
_IMPORT = "import importlib, sys; [importlib.import_module(name) for name in sys.argv[1:]]"


def main() -> int:
    failed = 0
    for member in MEMBERS:
        state = digest(member)
        mark = CACHE / f"{member.package}.passed"
        if mark.exists() and mark.read_text() == state:
            continue
        print(f"Isolation: {member.package}", flush=True)
        if passes(member):
            mark.write_text(state)
        else:
            failed += 1
    print(f"Isolation: {len(MEMBERS)} members, {failed} failed.")
    return 1 if failed else 0


def digest(member: Member) -> str:
    inputs = [Path(__file__), ROOT / f"requirements/{member.lock or 'dev'}.txt"]
    for folder in (member.folder, *member.ours):
        inputs.append(ROOT / folder / "pyproject.toml")
        source = (ROOT / folder / "src").rglob("*")
        # Data too: a module may read it when it is imported.
        inputs += sorted(p for p in source if p.is_file() and "__pycache__" not in p.parts)
    total = hashlib.sha256(f"{ROOT} {sys.version}".encode())
    for path in inputs:
        total.update(f"{path.relative_to(ROOT)}\0".encode() + path.read_bytes())
    return total.hexdigest()


def passes(member: Member) -> bool:
    later = [module for modules in member.extras.values() for module in modules]
    return tried(member, _IMPORT_ALL, member.package, *later) and all(
        tried(member, _IMPORT, *modules, extra=extra) for extra, modules in member.extras.items()
    )


def tried(member: Member, program: str, *arguments: str, extra: str | None = None) -> bool:
    """Run ``program`` in an environment with what ``member`` declares, and ``extra``, alone."""
    venv = CACHE / member.package
    python = venv / "bin" / "python"
    CACHE.mkdir(parents=True, exist_ok=True)
    return (
        run("uv", "venv", "--quiet", "--clear", "--python", sys.executable, str(venv))
        and install(member, python, extra)
        and declare(member, venv)
        and run(str(python), "-I", "-c", program, *arguments)
    )


def install(member: Member, python: Path, extra: str | None) -> bool:
    install = ("uv", "pip", "install", "--quiet", "--python", str(python))
    if member.lock:
        lock = f"requirements/{member.lock}.txt"
        return empty(ROOT / lock) or run(*install, "--require-hashes", "-r", lock)
    declared = project(member.folder)
    wanted = [*declared["dependencies"]]
    wanted += declared["optional-dependencies"][extra] if extra else []
    return not wanted or run(*install, "-c", "requirements/dev.txt", *wanted)


def project(folder: str) -> dict[str, Any]:
    text = (ROOT / folder / "pyproject.toml").read_text()
    declared: dict[str, Any] = tomllib.loads(text)["project"]
    return declared


def empty(lock: Path) -> bool:
    return not any(line and line[0] not in "# " for line in lock.read_text().splitlines())


def declare(member: Member, venv: Path) -> bool:
    """Make our sources importable, and their versions known, without building anything."""
    site = next(venv.glob("lib/python3*/site-packages"))
    folders = (member.folder, *member.ours)
    paths = [str(ROOT / folder / "src") for folder in folders]
    (site / f"{member.package}.pth").write_text("\n".join(paths) + "\n")
    for folder in folders:
        name, version = project(folder)["name"], project(folder)["version"]
        info = site / f"{name.replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.4\nName: {name}\nVersion: {version}\n")
    return True


def run(*command: str) -> bool:
    return subprocess.run(command, cwd=ROOT, check=False).returncode == 0


if __name__ == "__main__":
    sys.exit(main())
