"""Keep files, functions and parameter lists small; docs/decisions says why these numbers."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
SOURCES = (
    "libs/*/src",
    "*-svc/src",
    "loadgen/src",
    "loadgen/target/*/src",
    "infra/*/src",
    "infra/tasks",
    "benchmarks",
)
FILE_ADVICE, FILE_LIMIT, TEST_FILE_LIMIT = 400, 600, 800
FUNCTION_LIMIT = 60
POSITIONAL_LIMIT = 6
KIT_LIMIT = 2500


def functions(tree: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def complaints(path: Path, file_limit: int, *, test: bool = False) -> Iterator[str]:
    """Name what is over the budget; pytest gives a test its parameters by name."""
    text = path.read_text()
    name = path.relative_to(ROOT) if path.is_relative_to(ROOT) else path
    lines = len(text.splitlines())
    if lines > file_limit:
        yield f"{name}: {lines} lines, at most {file_limit}"
    for function in functions(ast.parse(text)):
        length = (function.end_lineno or function.lineno) - function.lineno + 1
        where = f"{name}:{function.lineno}: {function.name}"
        if length > FUNCTION_LIMIT:
            yield f"{where}: {length} lines, at most {FUNCTION_LIMIT}"
        positional = len(function.args.posonlyargs) + len(function.args.args)
        if positional > POSITIONAL_LIMIT and not test:
            yield f"{where}: {positional} positional parameters, at most {POSITIONAL_LIMIT}"


def main() -> int:
    sources = sorted(
        path for glob in SOURCES for top in ROOT.glob(glob) for path in top.rglob("*.py")
    )
    tests = sorted((ROOT / "tests").rglob("*.py"))
    found = [line for path in sources for line in complaints(path, FILE_LIMIT)]
    found += [line for path in tests for line in complaints(path, TEST_FILE_LIMIT, test=True)]
    kit = sum(
        len(path.read_text().splitlines()) for path in sources if "windsock_kit" in path.parts
    )
    if kit > KIT_LIMIT:
        found.append(f"windsock_kit: {kit} lines, at most {KIT_LIMIT}")
    for line in found:
        print(line)
    for path in [*sources, *tests]:
        lines = len(path.read_text().splitlines())
        if lines > FILE_ADVICE:
            print(f"{path.relative_to(ROOT)}: {lines} lines, {FILE_ADVICE} is the aim (advice)")
    print(f"Size: {len(sources)} sources, {len(tests)} test files, {len(found)} over the limit.")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
