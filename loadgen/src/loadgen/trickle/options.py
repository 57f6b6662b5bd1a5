"""The command line of the trickle."""

from collections.abc import Sequence
from dataclasses import dataclass

from loadgen.arguments import command_line, endpoint, positive, whole
from loadgen.settings import Settings

_DESCRIPTION = """\
Send a gentle stream of requests to the reference workload, so that a suite has something to show.

Requests come as they did in a production trace (Azure's conversation service, bursts and all), scaled
to --rate. Sixty users ask for interview questions in eight languages; the same --seed asks the same.
./task up starts one of these by itself.
"""

_EXAMPLES = """\
examples:
  python -m loadgen.trickle
      for ever, 20 requests a minute; Ctrl-C ends it
  python -m loadgen.trickle --rate 120 --duration 600
      two a second for ten minutes
  python -m loadgen.trickle --requests 5 --endpoint http://127.0.0.1:8010
      five requests to a workload without a gateway

WINDSOCK_ENDPOINT sets the default of --endpoint. Once a minute there is a line with counts. While the
workload is away or in trouble the trickle asks less often, and goes on. Exit status: 0 ended or
stopped, 1 not a single request of a bounded trickle was answered, 2 wrong option.
"""


@dataclass(frozen=True, slots=True)
class Options:
    """``duration`` (seconds) and ``requests`` of None are no bound."""

    endpoint: str
    rate: float
    duration: float | None
    requests: int | None
    seed: int


def parse_options(arguments: Sequence[str] | None, settings: Settings) -> Options:
    """Read the arguments; a mistake ends the process with status 2 and one line about it."""
    parser = command_line(
        "python -m loadgen.trickle",
        description=_DESCRIPTION,
        examples=_EXAMPLES,
    )
    parser.add_argument(
        "--endpoint",
        type=endpoint,
        default=settings.endpoint,
        metavar="URL",
        help="the suite's gateway, or the workload itself (default: %(default)s)",
    )
    parser.add_argument(
        "--rate",
        type=positive,
        default=20.0,
        metavar="N",
        help="requests a minute on average (default: %(default)g)",
    )
    parser.add_argument(
        "--duration", type=positive, metavar="SECONDS", help="end after so long (default: never)"
    )
    parser.add_argument(
        "--requests", type=whole, metavar="N", help="end after so many (default: never)"
    )
    parser.add_argument(
        "--seed",
        type=whole,
        default=1,
        metavar="N",
        help="of what is asked and by whom (default: %(default)s)",
    )
    return Options(**vars(parser.parse_args(arguments)))
