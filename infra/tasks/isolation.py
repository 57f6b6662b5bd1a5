"""Import every module of each member where only its declared packages are installed.

One shared environment hides an undeclared dependency until a deployment lacks
it. What has not changed since it last passed is not tried again.
"""

import hashlib
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
CACHE = ROOT / ".task" / "isolation"


@dataclass(frozen=True, slots=True)
class Member:
    """A package to try; ``lock`` is ``None`` for a library, which takes versions from dev.txt."""

    folder: str
    package: str
    lock: str | None
    ours: tuple[str, ...] = ()
    # Modules that an extra is declared for; the rest must do without it.
    optional: tuple[str, ...] = ()


MEMBERS = [
    Member("libs/windsock-kit", "windsock_kit", None, optional=("windsock_kit.testing",)),
    Member("libs/windsock", "windsock", None),
    Member("metrics-svc", "metrics_svc", "metrics-svc", ("libs/windsock-kit",)),
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
        inputs += sorted((ROOT / folder / "src").rglob("*.py"))
    total = hashlib.sha256(f"{ROOT} {sys.version}".encode())
    for path in inputs:
        total.update(f"{path.relative_to(ROOT)}\0".encode() + path.read_bytes())
    return total.hexdigest()


def passes(member: Member) -> bool:
    venv = CACHE / member.package
    python = venv / "bin" / "python"
    CACHE.mkdir(parents=True, exist_ok=True)
    paths = [str(ROOT / folder / "src") for folder in (member.folder, *member.ours)]
    return (
        run("uv", "venv", "--quiet", "--clear", "--python", sys.executable, str(venv))
        and install(member, python)
        and declare(member, venv, paths)
        and run(str(python), "-I", "-c", _IMPORT_ALL, member.package, *member.optional)
    )


def install(member: Member, python: Path) -> bool:
    install = ("uv", "pip", "install", "--quiet", "--python", str(python))
    if member.lock:
        lock = f"requirements/{member.lock}.txt"
        return empty(ROOT / lock) or run(*install, "--require-hashes", "-r", lock)
    project = tomllib.loads((ROOT / member.folder / "pyproject.toml").read_text())["project"]
    wanted = project["dependencies"]
    return not wanted or run(*install, "-c", "requirements/dev.txt", *wanted)


def empty(lock: Path) -> bool:
    return not any(line and line[0] not in "# " for line in lock.read_text().splitlines())


def declare(member: Member, venv: Path, paths: list[str]) -> bool:
    """Make our sources importable, and their versions known, without building anything."""
    site = next(venv.glob("lib/python3*/site-packages"))
    (site / f"{member.package}.pth").write_text("\n".join(paths) + "\n")
    for folder in (member.folder, *member.ours):
        project = tomllib.loads((ROOT / folder / "pyproject.toml").read_text())["project"]
        name, version = project["name"], project["version"]
        info = site / f"{name.replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.4\nName: {name}\nVersion: {version}\n")
    return True


def run(*command: str) -> bool:
    return subprocess.run(command, cwd=ROOT, check=False).returncode == 0


if __name__ == "__main__":
    sys.exit(main())
