"""The command line of the demo."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass

from loadgen.arguments import command_line, endpoint
from loadgen.settings import Settings

MOST_DAYS = 30

_DESCRIPTION = """\
Give a suite a past: days of plausible traffic, sent as events of the hours they would have come in.

The days have office hours and weekends. On one of them a new version goes live, for one hour the
provider is in trouble, and quality slips slowly. Each of the reference workload's nine flags is on
for half of the users and has the effect that it is documented with. In the end there are commands
that show all this in the suite's answers.
"""

_EXAMPLES = """\
examples:
  ./task up -- --detach
      start a suite first
  ./task demo
      two weeks, some 700,000 events, in a minute or two
  ./task demo -- --days 30
      as much as fits

The history ends with the last full hour. Run again, it adds the hours that have passed since, and
nothing twice. WINDSOCK_ENDPOINT sets the default of --endpoint. WINDSOCK_API_KEY holds the API key
where the suite asks for one. Exit status: 0 every event stored, now or before, 1 not all of them,
2 wrong option or more days than the suite takes, 130 stopped by Ctrl-C. docs/demo.md tells the
story.
"""


@dataclass(frozen=True, slots=True)
class Options:
    days: int
    endpoint: str


def parse_options(arguments: Sequence[str] | None, settings: Settings) -> Options:
    """Read the arguments; a mistake ends the process with status 2 and one line about it."""
    parser = command_line(
        "./task demo --",
        usage="%(prog)s [options]",
        description=_DESCRIPTION,
        examples=_EXAMPLES,
    )
    parser.add_argument(
        "--days",
        type=_days,
        default=14,
        metavar="N",
        help=f"length of the history, 1 to {MOST_DAYS} (default: %(default)s)",
    )
    parser.add_argument(
        "--endpoint",
        type=endpoint,
        default=settings.endpoint,
        metavar="URL",
        help="the suite's gateway or its metrics service (default: %(default)s)",
    )
    return Options(**vars(parser.parse_args(arguments)))


def _days(text: str) -> int:
    if text.isascii() and text.isdigit() and 1 <= int(text[:3]) <= MOST_DAYS:
        return int(text)
    raise argparse.ArgumentTypeError(f"expected a whole number from 1 to {MOST_DAYS}, got {text!r}")
