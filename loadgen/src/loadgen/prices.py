"""Prices of the embedding models that the reference workload uses, where the suite has none.

No published price list has them by token: Google sells them by character. They are stated by the
usual four characters a token, as own prices of the suite, and only for a model that has no price.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from http import HTTPStatus
from urllib.parse import urlencode

import msgspec
import urllib3

from loadgen.ingest import problem_detail

PROVIDER = "google"
EMBEDDING_MODELS = ("text-embedding-004", "text-embedding-005")
EMBEDDING_USD_PER_MTOK = 0.10

_PRICES_PATH = "/api/metrics/prices"
_SET_BY = "loadgen"
_TIMEOUT = urllib3.Timeout(connect=3, read=10)
# Somebody else may change the list between reading and writing it; rarely twice.
_ATTEMPTS = 3
_NANOS_PER_TOKEN = 1000
_CHARGED_AGAIN = timedelta(hours=1)


class PricesError(Exception):
    """The suite's prices could not be read or set; the text says why."""


@dataclass(frozen=True, slots=True)
class Rates:
    """What a model costs, in nano-dollars per token."""

    input: Fraction
    cached_input: Fraction
    output: Fraction

    def nanos(self, input_tokens: int, cached_input_tokens: int, output_tokens: int) -> int:
        """Charge a call as the suite does: exactly, rounded once, half to even."""
        return round(
            (input_tokens - cached_input_tokens) * self.input
            + cached_input_tokens * self.cached_input
            + output_tokens * self.output
        )


class _Resolved(msgspec.Struct, frozen=True):
    priced: bool
    input_usd_per_mtok: Decimal = Decimal(0)
    cached_input_usd_per_mtok: Decimal = Decimal(0)
    output_usd_per_mtok: Decimal = Decimal(0)


class _Prices(msgspec.Struct, frozen=True):
    # Passed back as they came, whatever fields they have.
    prices: tuple[msgspec.Raw, ...]
    resolved: _Resolved | None = None


class PriceList:
    """The suite's price list."""

    def __init__(self, endpoint: str, *, api_key: str | None) -> None:
        self._address = endpoint.rstrip("/") + _PRICES_PATH
        self._headers = {} if api_key is None else {"Authorization": f"Bearer {api_key}"}
        self._pool = urllib3.PoolManager(timeout=_TIMEOUT, retries=False)

    def rates(self, model: str, provider: str = PROVIDER) -> Rates | None:
        """Return what the model costs now, or None if it has no price."""
        found = self._resolved(model, provider)
        if not found.priced:
            return None
        return Rates(
            Fraction(found.input_usd_per_mtok) * _NANOS_PER_TOKEN,
            Fraction(found.cached_input_usd_per_mtok) * _NANOS_PER_TOKEN,
            Fraction(found.output_usd_per_mtok) * _NANOS_PER_TOKEN,
        )

    def complete(self) -> list[str]:
        """Give the embedding models without a price theirs; return the names of those.

        Prices that are there stay as they are. New ones hold for the calls of the last hour too,
        which came before there was anybody to set a price. Harmless to repeat.
        """
        for _ in range(_ATTEMPTS):
            missing = [
                model for model in EMBEDDING_MODELS if not self._resolved(model, PROVIDER).priced
            ]
            if not missing:
                return []
            if self._add(missing):
                for model in missing:
                    self._charge_again(model)
                return missing
        raise PricesError("the price list kept being changed by somebody else")

    def _resolved(self, model: str, provider: str) -> _Resolved:
        query = urlencode({"model": model, "provider": provider})
        resolved = self._decoded(self._request("GET", f"{self._address}?{query}")).resolved
        if resolved is None:
            raise PricesError(f"{_PRICES_PATH} answered without a price")
        return resolved

    def _add(self, models: list[str]) -> bool:
        """Return whether the list was still the one that was read."""
        answer = self._request("GET", self._address)
        new = [
            {
                "provider": PROVIDER,
                "model": model,
                "input_usd_per_mtok": EMBEDDING_USD_PER_MTOK,
                "output_usd_per_mtok": 0,
            }
            for model in models
        ]
        body = msgspec.json.encode(
            {"prices": [*self._decoded(answer).prices, *new], "set_by": _SET_BY}
        )
        headers = {"Content-Type": "application/json", "If-Match": answer.headers.get("ETag", "*")}
        done = self._request(
            "PUT", self._address, body, headers, also=HTTPStatus.PRECONDITION_FAILED
        )
        return done.status == HTTPStatus.OK

    def _charge_again(self, model: str) -> None:
        now = datetime.now(UTC)
        body = {"from": now - _CHARGED_AGAIN, "to": now, "provider": PROVIDER, "model": model}
        headers = {"Content-Type": "application/json"}
        self._request("POST", f"{self._address}/reprice", msgspec.json.encode(body), headers)

    def _request(
        self,
        method: str,
        address: str,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
        *,
        also: HTTPStatus = HTTPStatus.OK,
    ) -> urllib3.BaseHTTPResponse:
        try:
            answer = self._pool.request(
                method, address, body=body, headers={**self._headers, **(headers or {})}
            )
        except urllib3.exceptions.NewConnectionError:
            raise PricesError(f"nothing answers at {self._address}") from None
        except urllib3.exceptions.HTTPError as error:
            raise PricesError(f"{self._address}: {error}") from None
        if answer.status not in {HTTPStatus.OK, also}:
            detail = problem_detail(answer.data)
            raise PricesError(f"{self._address} answered {answer.status} {detail}".rstrip())
        return answer

    def _decoded(self, answer: urllib3.BaseHTTPResponse) -> _Prices:
        try:
            return msgspec.json.decode(answer.data, type=_Prices)
        except msgspec.DecodeError as error:
            raise PricesError(f"{self._address} answers no price list: {error}") from None
