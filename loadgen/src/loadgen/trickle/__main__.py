"""``python -m loadgen.trickle``: a gentle stream of requests to the reference workload."""

import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from math import inf

from loadgen.interruption import Interruption
from loadgen.prices import PriceList
from loadgen.settings import Settings
from loadgen.trickle.arrivals import Arrivals, trace_offsets
from loadgen.trickle.client import WorkloadClient
from loadgen.trickle.options import Options, parse_options
from loadgen.trickle.price_setting import set_prices
from loadgen.trickle.requests import asks, read_material
from loadgen.trickle.stream import AT_ONCE, Trickle

EXIT_OK = 0
EXIT_FAILED = 1


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    settings = Settings.from_env()
    options = parse_options(arguments, settings)
    with Interruption() as interruption:
        trickle = Trickle(
            asks=asks(options.seed, read_material()),
            due=Arrivals(trace_offsets(), options.rate).due(),
            send=WorkloadClient(options.endpoint, connections=AT_ONCE).send,
            say=_say,
            stopped=lambda: interruption.requested,
            most_requests=options.requests or inf,
            most_seconds=options.duration or inf,
        )
        _say(f"trickle: {options.rate:g} requests a minute to {options.endpoint}")
        try:
            set_prices(PriceList(options.endpoint, api_key=settings.api_key), trickle.tell)
            total = trickle.run()
        except KeyboardInterrupt:
            return EXIT_OK
        stopped = interruption.requested
    _say(f"trickle: ended; {total.line()}")
    return EXIT_FAILED if _in_vain(options, total.answered, stopped) else EXIT_OK


def _in_vain(options: Options, answered: int, stopped: bool) -> bool:
    bounded = options.requests is not None or options.duration is not None
    return bounded and not stopped and answered == 0


def _say(text: str) -> None:
    # Flushed, because this is mostly read as a file that grows.
    print(f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ} {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
