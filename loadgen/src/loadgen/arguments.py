"""What command lines share: their form, and values checked by saying what was expected."""

import argparse
import math

from loadgen.ingest import check_endpoint


def command_line(
    prog: str, *, description: str, examples: str, usage: str | None = None
) -> argparse.ArgumentParser:
    """Make a parser whose texts are printed as they are and whose options are written in full."""
    return argparse.ArgumentParser(
        prog=prog,
        usage=usage,
        description=description,
        epilog=examples,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )


def positive(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"expected a number above 0, got {text!r}")
    return value


def whole(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < len(text) < 19 and int(text) > 0):
        raise argparse.ArgumentTypeError(f"expected a whole number above 0, got {text!r}")
    return int(text)


def label(text: str) -> str:
    if not text.strip() or len(text) > 200:
        raise argparse.ArgumentTypeError("expected 1 to 200 characters")
    return text


def endpoint(text: str) -> str:
    try:
        check_endpoint(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return text
