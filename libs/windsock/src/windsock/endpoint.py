"""The service that the SDK talks to: where it is, and what every request to it carries."""

from __future__ import annotations

# ``getaddrinfo`` would import it in a thread. A child forked during an import has half a
# module for good, so nothing may be imported that late.
import encodings.idna  # noqa: F401
import http.client
import ipaddress
import ssl
from urllib.parse import urlsplit

from windsock.counters import log


class Endpoint:
    """Uses no proxy and follows no redirect, so that the key stays between the two."""

    def __init__(self, address: str, *, api_key: str | None = None, warns: bool = True) -> None:
        url = urlsplit(address)
        self._secure = url.scheme == "https"
        self._host = url.hostname or ""
        self._port = url.port
        self._prefix = url.path.rstrip("/")
        self._headers = {"User-Agent": "windsock-python"}
        if api_key:
            self._headers["Authorization"] = f"Bearer {api_key}"
            if warns and not self._secure and not _is_loopback(self._host):
                log.warning("the API key travels unencrypted to %s", self._host)

    def headers(self, **more: str) -> dict[str, str]:
        """Return the headers of a request; ``Accept_Encoding`` stands for ``Accept-Encoding``."""
        return self._headers | {name.replace("_", "-"): value for name, value in more.items()}

    def path(self, path: str) -> str:
        """Return ``path`` below what the address has of its own."""
        return self._prefix + path

    def open(self, timeout_seconds: float) -> http.client.HTTPConnection:
        """Return a connection that the first request opens."""
        if not self._secure:
            return http.client.HTTPConnection(self._host, self._port, timeout=timeout_seconds)
        context = ssl.create_default_context()
        return http.client.HTTPSConnection(
            self._host, self._port, timeout=timeout_seconds, context=context
        )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
