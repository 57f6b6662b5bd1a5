"""What one evaluation of a flag costs in the application: windsock beside four others, all in one process.

``static`` is a flag that gives everybody the same; ``targeted`` has two conditions that hold (country equals, plan is one of
two) and then gives half of the users each variant. Every library is asked through the method that its users call, with the
context made beforehand, and none sends anything; windsock does what it does by default, and looks whether the user's exposure is
already recorded. All take turns in each round.

``loading`` reads 10,000 flags with two conditions and a split each from JSON, in a process of its own, and counts the
memory that is there afterwards.

Run ``./task bench -- flag_evaluation``. The others are installed into ``.task/peers`` first.
"""

from __future__ import annotations

import argparse
import gc
import json
import logging
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from importlib.metadata import version
from pathlib import Path
from time import perf_counter, perf_counter_ns
from typing import Any

ROOT = Path(__file__).parents[1]
PEERS = ROOT / "benchmarks" / "peers" / "flags.txt"
PER_ROUND = 1_000
MANY = 10_000
USER = "user-1"
ATTRIBUTES = {"country": "SE", "plan": "pro"}
Ask = Callable[[], object]

WINDSOCK = {
    "flags": [
        {
            "key": "static",
            "type": "boolean",
            "variants": {"on": True, "off": False},
            "fallthrough": {"variant": "on"},
        },
        {
            "key": "targeted",
            "type": "boolean",
            "variants": {"on": True, "off": False},
            "off_variant": "off",
            "rules": [
                {
                    "when": {
                        "all": [
                            {"attribute": "country", "operator": "equals", "value": "SE"},
                            {"attribute": "plan", "operator": "in", "values": ["pro", "team"]},
                        ]
                    },
                    "serve": {"split": {"on": 50, "off": 50}},
                }
            ],
            "fallthrough": {"variant": "off"},
        },
    ]
}
FLAGD = {
    "flags": {
        "static": {
            "state": "ENABLED",
            "variants": {"on": True, "off": False},
            "defaultVariant": "on",
        },
        "targeted": {
            "state": "ENABLED",
            "variants": {"on": True, "off": False},
            "defaultVariant": "off",
            "targeting": {
                "if": [
                    {
                        "and": [
                            {"==": [{"var": "country"}, "SE"]},
                            {"in": [{"var": "plan"}, ["pro", "team"]]},
                        ]
                    },
                    {"fractional": [["on", 50], ["off", 50]]},
                    "off",
                ]
            },
        },
    }
}


@contextmanager
def windsock_asks(folder: Path) -> Iterator[tuple[Ask, Ask]]:
    """Ask ``get_feature_flags()``, with a file as its source."""
    import windsock  # noqa: PLC0415  # Each library is imported where it is measured.

    path = folder / "windsock.json"
    path.write_text(json.dumps(WINDSOCK))
    # Exposures are kept to be sent, as by default; there is nobody to send them to.
    windsock.configure(flags_file=str(path), endpoint="http://127.0.0.1:9")
    flags = windsock.get_feature_flags()
    yield (
        lambda: flags.is_enabled("static", user_id=USER, context=ATTRIBUTES),
        lambda: flags.is_enabled("targeted", user_id=USER, context=ATTRIBUTES),
    )
    windsock.close()


@contextmanager
def flagd_asks(_: Path) -> Iterator[tuple[Ask, Ask]]:
    """Ask the evaluator of flagd's in-process provider."""
    from openfeature.contrib.tools.flagd.core import FlagdCore  # noqa: PLC0415
    from openfeature.evaluation_context import EvaluationContext  # noqa: PLC0415

    core = FlagdCore()
    core.set_flags(json.dumps(FLAGD))
    context = EvaluationContext(USER, dict(ATTRIBUTES))
    yield (
        lambda: core.resolve_boolean_value("static", False, context).value,
        lambda: core.resolve_boolean_value("targeted", False, context).value,
    )


@contextmanager
def growthbook_asks(_: Path) -> Iterator[tuple[Ask, Ask]]:
    """Ask a GrowthBook made for the user: making one for each request would cost more."""
    from growthbook import GrowthBook  # type: ignore[import-not-found, unused-ignore]  # noqa: PLC0415

    rule = {
        "condition": {"country": "SE", "plan": {"$in": ["pro", "team"]}},
        "variations": [True, False],
        "weights": [0.5, 0.5],
        "hashAttribute": "id",
        "hashVersion": 2,
        "key": "targeted",
    }
    features = {
        "static": {"defaultValue": True},
        "targeted": {"defaultValue": False, "rules": [rule]},
    }
    book = GrowthBook(attributes={"id": USER, **ATTRIBUTES}, features=features)
    yield (lambda: book.is_on("static"), lambda: book.is_on("targeted"))
    book.destroy()


@contextmanager
def launchdarkly_asks(folder: Path) -> Iterator[tuple[Ask, Ask]]:
    """Ask a client whose data come from a file, as its tests have them, and that sends no events."""
    import ldclient  # type: ignore[import-not-found, unused-ignore]  # noqa: PLC0415
    from ldclient.config import Config  # type: ignore[import-not-found, unused-ignore]  # noqa: PLC0415
    from ldclient.integrations import Files  # type: ignore[import-not-found, unused-ignore]  # noqa: PLC0415

    flag = {"on": True, "variations": [True, False], "offVariation": 1, "salt": "s", "version": 1}
    clauses = [
        {"attribute": "country", "op": "in", "values": ["SE"]},
        {"attribute": "plan", "op": "in", "values": ["pro", "team"]},
    ]
    halves = [{"variation": 0, "weight": 50_000}, {"variation": 1, "weight": 50_000}]
    rule = {"id": "r", "clauses": clauses, "rollout": {"variations": halves}}
    flags = {
        "static": {"key": "static", **flag, "fallthrough": {"variation": 0}},
        "targeted": {"key": "targeted", **flag, "rules": [rule], "fallthrough": {"variation": 1}},
    }
    path = folder / "launchdarkly.json"
    path.write_text(json.dumps({"flags": flags}))
    source = Files.new_data_source(paths=[str(path)])
    config = Config(
        "none", update_processor_class=source, send_events=False, diagnostic_opt_out=True
    )
    client = ldclient.LDClient(config)
    context = ldclient.Context.builder(USER)
    for name, value in ATTRIBUTES.items():
        context.set(name, value)
    built = context.build()
    yield (
        lambda: client.variation("static", built, False),
        lambda: client.variation("targeted", built, False),
    )
    client.close()


@contextmanager
def unleash_asks(folder: Path) -> Iterator[tuple[Ask, Ask]]:
    """Ask a client that was given its flags and never fetches any."""
    from UnleashClient import UnleashClient  # type: ignore[import-not-found, unused-ignore]  # noqa: PLC0415
    from UnleashClient.cache import FileCache  # type: ignore[import-not-found, unused-ignore]  # noqa: PLC0415

    constraints = [
        {"contextName": "country", "operator": "IN", "values": ["SE"]},
        {"contextName": "plan", "operator": "IN", "values": ["pro", "team"]},
    ]
    half = {"rollout": "50", "stickiness": "userId", "groupId": "targeted"}
    strategies = {
        "static": [{"name": "default", "parameters": {}}],
        "targeted": [{"name": "flexibleRollout", "parameters": half, "constraints": constraints}],
    }
    features = [
        {"name": name, "type": "release", "enabled": True, "strategies": given, "variants": []}
        for name, given in strategies.items()
    ]
    cache = FileCache("benchmark", directory=str(folder))
    cache.bootstrap_from_dict({"version": 2, "features": features})
    client = UnleashClient(
        "http://127.0.0.1:9/api",
        "benchmark",
        disable_metrics=True,
        disable_registration=True,
        cache=cache,
    )
    client.initialize_client(fetch_toggles=False)
    context = {"userId": USER, "properties": dict(ATTRIBUTES)}
    yield (
        lambda: client.is_enabled("static", context),
        lambda: client.is_enabled("targeted", context),
    )
    client.destroy()


LIBRARIES = {
    "windsock": windsock_asks,
    "openfeature-flagd-core": flagd_asks,
    "growthbook": growthbook_asks,
    "launchdarkly-server-sdk": launchdarkly_asks,
    "UnleashClient": unleash_asks,
}


def evaluations(rounds: int) -> dict[str, Any]:
    """Return the median over rounds of a round's mean cost in nanoseconds, by library and flag."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        asks: dict[tuple[str, str], Ask] = {}
        for name, open_library in LIBRARIES.items():
            static, targeted = stack.enter_context(open_library(folder))
            if static() is not True or not isinstance(targeted(), bool):
                sys.exit(f"{name} does not answer as it should: {static()}, {targeted()}")
            asks[name, "static"], asks[name, "targeted"] = static, targeted
        costs: dict[tuple[str, str], list[float]] = {key: [] for key in asks}
        order = list(asks)
        gc.collect()
        for turn in range(rounds):
            print(f"\rround {turn + 1} of {rounds}", end="", file=sys.stderr, flush=True)
            for key in order:
                costs[key].append(mean_ns(asks[key]))
            order.append(order.pop(0))
        print(file=sys.stderr)
        return {
            name: {
                "version": version(name),
                "static_ns": round(statistics.median(costs[name, "static"])),
                "targeted_ns": round(statistics.median(costs[name, "targeted"])),
            }
            for name in LIBRARIES
        }


def mean_ns(ask: Ask) -> float:
    """Return what one call costs on average, the loop's own cost included."""
    turns = range(PER_ROUND)
    began = perf_counter_ns()
    for _ in turns:
        ask()
    return (perf_counter_ns() - began) / PER_ROUND


def load(name: str) -> None:
    """Read many flags with one library, and print what that cost."""
    import psutil  # noqa: PLC0415

    if name == "windsock":
        from windsock.flags.evaluation import compile_set  # noqa: PLC0415
        from windsock.flags.reading import read_document  # noqa: PLC0415

        one = json.dumps(WINDSOCK["flags"][1])
        each = (one.replace('"targeted"', f'"targeted-{number}"', 1) for number in range(MANY))
        text = f'{{"flags":[{",".join(each)}]}}'.encode()

        def read() -> object:
            return compile_set(read_document(text))
    else:
        from openfeature.contrib.tools.flagd.core import FlagdCore  # noqa: PLC0415

        core = FlagdCore()
        flag = FLAGD["flags"]["targeted"]
        given = json.dumps({"flags": {f"targeted-{number}": flag for number in range(MANY)}})

        def read() -> object:
            core.set_flags(given)
            return core

    gc.collect()
    process = psutil.Process()
    before = process.memory_info().rss
    began = perf_counter()
    kept = read()
    seconds = perf_counter() - began
    gc.collect()
    grown = process.memory_info().rss - before
    print(json.dumps({"seconds": round(seconds, 3), "megabytes": round(grown / 1e6, 1)}))
    del kept


def loading() -> dict[str, Any]:
    """Return seconds and megabytes of reading many flags, by library."""
    found = {}
    for name in ("windsock", "openfeature-flagd-core"):
        command = [sys.executable, __file__, "--load", name]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        found[name] = {"flags": MANY, **json.loads(done.stdout)}
    return found


def python_of_peers() -> Path:
    """Return the Python that has the other libraries; installs them where they are not."""
    folder = ROOT / ".task" / "peers" / "flags"
    python, mark = folder / "bin" / "python", folder / "installed"
    wanted = PEERS.read_text()
    if not mark.exists() or mark.read_text() != wanted:
        print("installing the other libraries", file=sys.stderr, flush=True)
        subprocess.run(["uv", "venv", "--quiet", "--clear", folder], check=True)
        install = ["uv", "pip", "install", "--quiet", "--python", str(python)]
        given = ["-r", str(PEERS), "psutil", "-e", str(ROOT / "libs" / "windsock")]
        subprocess.run([*install, *given], check=True)
        mark.write_text(wanted)
    return python


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--load", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.load:
        load(given.load)
    elif given.inside:
        logging.disable(logging.CRITICAL)
        print(json.dumps({"evaluation": evaluations(given.rounds), "loading": loading()}))
    else:
        from benchmarks import harness  # noqa: PLC0415  # Not there where the others are.

        command = [str(python_of_peers()), __file__, "--inside", "--rounds", str(given.rounds)]
        done = subprocess.run(
            command, stdout=subprocess.PIPE, text=True, check=True, env=dict(os.environ)
        )
        harness.report(json.loads(done.stdout))


if __name__ == "__main__":
    main()
