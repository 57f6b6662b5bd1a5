"""The command line of the replay."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass

from loadgen.arguments import command_line, endpoint, label, positive, whole
from loadgen.settings import Settings

_DESCRIPTION = """\
Stream a published trace of real LLM calls into a running Windsock suite.

FILE is Azure's LLM inference trace (CSV with the header TIMESTAMP,ContextTokens,GeneratedTokens)
or Mooncake's (JSON lines with timestamp, input_length, output_length, hash_ids). Which of the two
is told from its content. It may be gzipped, and - reads standard input. The whole file is checked
before anything is sent.
"""

_EXAMPLES = """\
examples:
  ./task up -- --detach
      start a suite first
  ./task replay -- tests/data/azure-conversation.csv
      fill the past minutes at once
  ./task replay -- tests/data/mooncake-conversation.jsonl --speed 10
      live, ten times as fast as it was
  zcat trace.csv.gz | ./task replay -- - --limit 1000
      the first 1000 calls of a stream

WINDSOCK_ENDPOINT sets the default of --endpoint. WINDSOCK_API_KEY holds the API key where the
suite asks for one. Exit status: 0 every event stored, 1 not all of them, 2 wrong file or option,
130 stopped by Ctrl-C. docs/replay.md tells what becomes of a row.
"""


@dataclass(frozen=True, slots=True)
class Options:
    """``speed`` of None is ``max``; ``operation`` and ``run_id`` of None are chosen later."""

    file: str
    endpoint: str
    speed: float | None
    compress: float
    limit: int | None
    run_id: str | None
    skip_bad: bool
    operation: str | None
    environment: str
    provider: str
    model: str
    cache_blocks: int | None
    patience: float


def parse_options(arguments: Sequence[str] | None, settings: Settings) -> Options:
    """Read the arguments; a mistake ends the process with status 2 and one line about it."""
    parser = _parser(settings)
    options = Options(**vars(parser.parse_args(arguments)))
    if options.speed is not None and options.compress != 1:
        parser.error("--compress is for the default --speed max; a live replay has --speed alone")
    return options


def _parser(settings: Settings) -> argparse.ArgumentParser:
    parser = command_line(
        "./task replay --",
        usage="%(prog)s FILE [options]",
        description=_DESCRIPTION,
        examples=_EXAMPLES,
    )
    parser.add_argument("file", metavar="FILE", help="the trace, or - for standard input")
    _add_time(parser.add_argument_group("time"))
    _add_labels(parser.add_argument_group("what the trace does not say"))
    _add_delivery(parser.add_argument_group("delivery"), settings)
    return parser


def _add_time(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--speed",
        type=_speed,
        default="max",
        metavar="X",
        help="max (default): send at once, stamped so that the last call is now and the spacing is"
        " the trace's. A number: live, a call is sent and stamped when its turn comes, X times as"
        " fast as it was",
    )
    group.add_argument(
        "--compress",
        type=positive,
        default=1.0,
        metavar="X",
        help="with --speed max, divide the spacing by X (a trace may cover 7 days at most)",
    )
    group.add_argument(
        "--limit", type=whole, metavar="N", help="only the first N calls (default: all)"
    )


def _add_labels(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--operation",
        type=label,
        metavar="NAME",
        help="operation of the events (default: conversation, code or toolagent where the file's"
        " name says so, else azure or mooncake)",
    )
    group.add_argument(
        "--environment",
        type=label,
        default="production",
        metavar="NAME",
        help="(default: %(default)s)",
    )
    group.add_argument(
        "--provider", type=label, default="openai", metavar="NAME", help="(default: %(default)s)"
    )
    group.add_argument(
        "--model",
        type=label,
        default="gpt-4o-mini",
        metavar="NAME",
        help="model whose prices the calls are charged at (default: %(default)s); the traces do"
        " not name theirs",
    )
    group.add_argument(
        "--cache-blocks",
        type=whole,
        metavar="N",
        help="size of the prompt cache that Mooncake's hits are derived with, in blocks of 512"
        " tokens (default: unbounded)",
    )


def _add_delivery(group: argparse._ArgumentGroup, settings: Settings) -> None:
    group.add_argument(
        "--endpoint",
        type=endpoint,
        default=settings.endpoint,
        metavar="URL",
        help="the suite's gateway or its metrics service (default: %(default)s)",
    )
    group.add_argument(
        "--patience",
        type=positive,
        default=60.0,
        metavar="SECONDS",
        help="how long a batch is tried while the suite is not ready (default: %(default)g)",
    )
    group.add_argument(
        "--run-id",
        type=label,
        metavar="NAME",
        help="name of this replay: repeated with the same file and options, it goes on where it"
        " stopped, and nothing is counted twice (default: a new one)",
    )
    group.add_argument(
        "--skip-bad", action="store_true", help="leave out lines that do not parse, and count them"
    )


def _speed(text: str) -> float | None:
    if text == "max":
        return None
    try:
        return positive(text)
    except argparse.ArgumentTypeError:
        raise argparse.ArgumentTypeError(
            f"expected max or a number above 0, got {text!r}"
        ) from None
