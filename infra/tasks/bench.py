"""Run one of benchmarks/*.py by name, or list them with the first line of their docstring."""

import ast
import os
import sys
from pathlib import Path

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def main(arguments: list[str]) -> int:
    # A module without this line is what benchmarks share.
    files = [
        path for path in sorted(BENCHMARKS.glob("[a-z]*.py")) if "__main__" in path.read_text()
    ]
    found = {path.stem: path for path in files}
    if arguments and arguments[0] in found:
        os.chdir(BENCHMARKS.parent)
        name, *rest = arguments
        os.execv(sys.executable, [sys.executable, "-m", f"benchmarks.{name}", *rest])  # noqa: S606  by design
    if arguments:
        print(f"no benchmark named {arguments[0]}; there are:", file=sys.stderr)
    for name, path in found.items():
        docstring = ast.get_docstring(ast.parse(path.read_text())) or ""
        print(f"{name:20} {docstring.partition(chr(10))[0]}")
    return 1 if arguments else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
