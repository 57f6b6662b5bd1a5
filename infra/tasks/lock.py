"""Write requirements/*.txt: names, versions and hashes, no index address and no path of a machine."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
MEMBERS = {
    "windsock-kit": "libs/windsock-kit",
    "windsock": "libs/windsock",
    "metrics-svc": "metrics-svc",
    "alerts-svc": "alerts-svc",
    "flags-svc": "flags-svc",
    "loadgen": "loadgen",
    "adaptive-questions": "loadgen/target/adaptive-questions",
    "llm-simulator": "loadgen/target/llm-simulator",
    "windsock-embedded": "infra/windsock-embedded",
}
# The folders of members whose dependencies go into each lock, and uv's further arguments.
LOCKS: dict[str, tuple[list[str], list[str]]] = {
    "bootstrap": ([], ["--group", "pyproject.toml:bootstrap"]),
    "dev": (list(MEMBERS.values()), ["--all-extras", "--group", "pyproject.toml:dev"]),
    "metrics-svc": (["metrics-svc"], []),
    "alerts-svc": (["alerts-svc"], []),
    "flags-svc": (["flags-svc"], []),
    "loadgen": (["loadgen"], []),
    "adaptive-questions": (["loadgen/target/adaptive-questions"], []),
    "llm-simulator": (["loadgen/target/llm-simulator"], []),
    "windsock-embedded": (["infra/windsock-embedded"], ["--all-extras"]),
}


def main(arguments: list[str]) -> int:
    for name, (folders, options) in LOCKS.items():
        print(f"requirements/{name}.txt", flush=True)
        sources = [f"{folder}/pyproject.toml" for folder in folders]
        unlisted = [part for member in MEMBERS for part in ("--no-emit-package", member)]
        command = [
            *("uv", "pip", "compile", "--quiet", "--universal", "--generate-hashes"),
            *("--no-emit-index-url", "--no-header", "--python-version", "3.11"),
            *unlisted,
            *options,
            *arguments,
            *("--output-file", f"requirements/{name}.txt"),
            *sources,
        ]
        if done := subprocess.run(command, cwd=ROOT, check=False).returncode:
            return done
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
