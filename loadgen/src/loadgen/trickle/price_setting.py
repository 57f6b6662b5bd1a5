"""Prices for the embedding models, set as soon as the suite is there, beside the requests."""

import threading
from collections.abc import Callable

from loadgen.prices import PriceList, PricesError

_AGAIN_SECONDS = 60.0
# So long the first request waits for the prices, so that its embeddings have one.
_HEAD_START_SECONDS = 3.0


def set_prices(prices: PriceList, tell: Callable[[str], None]) -> None:
    """Complete the price list in a thread that tries until it is done; a failure is told once.

    Returns after the first try, or when that takes too long.
    """
    tried = threading.Event()
    threading.Thread(target=_keep_trying, args=(prices, tell, tried), daemon=True).start()
    tried.wait(_HEAD_START_SECONDS)


def _keep_trying(prices: PriceList, tell: Callable[[str], None], tried: threading.Event) -> None:
    pause = threading.Event()
    while True:
        try:
            added = prices.complete()
        except PricesError as error:
            if not tried.is_set():
                tell(f"the embedding models have no price yet, trying again: {error}")
            tried.set()
            pause.wait(_AGAIN_SECONDS)
        else:
            if added:
                tell(f"gave {' and '.join(added)} a price")
            tried.set()
            return
