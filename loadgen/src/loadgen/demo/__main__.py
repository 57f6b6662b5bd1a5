"""``python -m loadgen.demo``: give a suite a plausible past through its ingest endpoint."""

import sys
from collections.abc import Sequence
from datetime import UTC, datetime

from rich.console import Console

from loadgen.demo.backfill import EXIT_BAD_INPUT, EXIT_INTERRUPTED, Demo, TooLongError
from loadgen.demo.options import parse_options
from loadgen.demo.story import Story
from loadgen.report import say
from loadgen.settings import Settings


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    settings = Settings.from_env()
    options = parse_options(arguments, settings)
    messages = Console(stderr=True)
    end = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    try:
        return Demo(Story(), end, options, settings.api_key, messages).run()
    except TooLongError as error:
        say(messages, f"demo: {error}")
        return EXIT_BAD_INPUT
    except KeyboardInterrupt:
        say(messages, "demo: stopped at once")
        return EXIT_INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
