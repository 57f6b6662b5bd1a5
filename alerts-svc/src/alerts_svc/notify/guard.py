"""Keeps what people configure as a receiver from reaching inside (server-side request forgery).

A target is checked when it is saved and each time something is sent. A name is resolved once per connection, all of
its addresses are checked, and the connection goes to one of these: a name that changes in between changes nothing.
"""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from ipaddress import ip_address

from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from alerts_svc.notify import addresses
from alerts_svc.notify.addresses import Address, Network

_PORTS = {"http": 80, "https": 443}
SMTP_PORTS = frozenset({25, 465, 587, 2525})
# Databases, caches, brokers and control planes: nothing that takes a webhook listens there.
_INNER_PORTS = frozenset(
    {
        *(1433, 1521, 2049, 2375, 2376, 2379, 2380, 3268, 3269, 3306, 3389, 4369, 5060, 5061),
        *(5432, 5433, 5672, 5900, 5984, 6000, 6379, 6380, 6432, 6443, 6665, 6666, 6667, 6668, 6669, 6697),
        *(7000, 7001, 8086, 8125, 8500, 9042, 9092, 9200, 9300, 10250, 10255, 11211, 15672),
        *(16379, 26379, 26257, 27017, 27018, 50000, 61616),
    }
)  # fmt: skip
_URL = re.compile(r"[!-\[\]-~]{1,2048}")
_NAME = re.compile(r"(?=.{1,253}$)(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.)*[a-z0-9-]{1,63}")
# What a resolver of the operating system reads as an IPv4 address: decimal, octal and hexadecimal parts.
_NUMBER = re.compile(r"(?:0x[0-9a-f]*|[0-9]+)")
RESOLVE_SECONDS = 5.0

# Threads of their own: a resolver that hangs must not hold up the store's and metrics-svc's names.
_resolving = ThreadPoolExecutor(8, thread_name_prefix="resolve")

Lookup = Callable[[str, int], Awaitable[Sequence[str]]]


class TargetError(ValueError):
    """A target that nothing may be sent to; the message says why, and holds no secret part of the address."""

    def __init__(self, detail: str, path: str = "url") -> None:
        super().__init__(detail)
        self.detail = detail
        self.path = path


class UnresolvedError(OSError):
    """A name that has no address at the moment."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a connection would go: a name or an address in its canonical form, and a port."""

    host: str
    port: int

    @property
    def address(self) -> Address | None:
        """Return the address if the host is written as one."""
        return addresses.parse(self.host)


@dataclass(frozen=True, slots=True)
class _Entry:
    """One entry of the operator's allow-list."""

    port: int | None
    name: str | None = None
    network: Network | None = None

    def has(self, address: Address, port: int) -> bool:
        real = addresses.carried(address)
        same = self.network is not None and self.network.version == real.version
        return same and self.network is not None and real in self.network and self._port(port)

    def names(self, host: str, port: int) -> bool:
        return self.name == host and self._port(port)

    def _port(self, port: int) -> bool:
        return self.port is None or self.port == port


def _entry(text: str) -> _Entry:
    """Return an entry: ``host``, ``host:port``, CIDR, ``CIDR:port``; IPv6 with a port stands in brackets."""
    whole = addresses.parse_network(text.strip("[]"))
    if whole is not None:
        return _Entry(None, network=whole)
    rest, _, digits = text.rpartition(":")
    port = int(digits) if rest and digits.isascii() and digits.isdigit() else None
    host = text if port is None else rest
    network = addresses.parse_network(host.strip("[]"))
    if network is not None:
        return _Entry(port, network=network)
    name = host.lower().rstrip(".")
    if not _NAME.fullmatch(name) or (port is not None and not 0 < port < 65_536):
        raise ValueError(f"{text!r} is not host, host:port, CIDR or CIDR:port")
    return _Entry(port, name=name)


def entries(text: str) -> tuple[_Entry, ...]:
    """Return the allow-list that a comma separated text says; raises ``ValueError`` with the wrong entry."""
    return tuple(_entry(part.strip()) for part in text.split(",") if part.strip())


async def look_up(host: str, port: int) -> Sequence[str]:
    """Ask the operating system's resolver for the addresses of a name."""
    loop = asyncio.get_running_loop()
    ask = partial(socket.getaddrinfo, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
    found = await loop.run_in_executor(_resolving, ask, host, port)
    return list(dict.fromkeys(str(row[4][0]) for row in found))


class Guard:
    """Says what may be a target. ``allowed`` is the operator's list of inner ones that may be reached all the same.

    An entry that is a name allows whatever the name resolves to, but for link-local addresses and multicast; an
    entry with a port allows that port alone, one without allows every port.
    """

    def __init__(self, allowed: str = "", *, lookup: Lookup = look_up) -> None:
        self._entries = entries(allowed)
        self._lookup = lookup

    def check_url(
        self, url: str, *, path: str = "url", schemes: Sequence[str] = ("https", "http")
    ) -> Endpoint:
        """Return where ``url`` points to; raises ``TargetError``. Names are not resolved here.

        With ``https`` as the only scheme ``http`` passes for targets of the allow-list.
        """
        parsed = self._parsed(url, path)
        endpoint = self._endpoint(parsed.raw_host or "", parsed.port or 0, path)
        listed = self._listed(endpoint)
        if parsed.scheme not in schemes and not (listed and parsed.scheme in _PORTS):
            raise TargetError(f"the scheme must be {' or '.join(schemes)}", path)
        if not listed and not _ordinary_port(endpoint.port):
            raise TargetError(f"port {endpoint.port} is not one of a web server", path)
        return endpoint

    def _parsed(self, url: str, path: str) -> URL:
        if not _URL.fullmatch(url):
            raise TargetError(
                "must be 1 to 2048 printable ASCII characters without backslash", path
            )
        try:
            parsed = URL(url)
            port = parsed.port
        except ValueError:
            raise TargetError("is not a URL", path) from None
        if not parsed.scheme or parsed.scheme not in _PORTS or not parsed.raw_host:
            raise TargetError("must be a URL that begins with https:// or http://", path)
        authority = url.split("//", 1)[-1].split("/", 1)[0].split("?", 1)[0].split("#", 1)[0]
        if parsed.raw_user or parsed.raw_password or "@" in authority:
            raise TargetError("must not have a user or a password in it", path)
        if not port:
            raise TargetError("port 0 cannot be reached", path)
        return parsed

    def check_smtp(self, host: str, port: int, *, path: str = "host") -> Endpoint:
        """Return the endpoint of a mail server; raises ``TargetError``. Names are not resolved here."""
        endpoint = self._endpoint(host.strip("[]"), port, path)
        if not self._listed(endpoint) and port not in SMTP_PORTS:
            ports = ", ".join(map(str, sorted(SMTP_PORTS)))
            raise TargetError(f"a mail server's port is one of {ports}", "port")
        return endpoint

    def _endpoint(self, host: str, port: int, path: str) -> Endpoint:
        address = addresses.parse(host)
        if address is not None:
            self._check_address(address, Endpoint(str(address), port), path)
            return Endpoint(str(address), port)
        name = host.lower().removesuffix(".")
        if _NUMBER.fullmatch(name.rpartition(".")[2]):
            raise TargetError("an address must be written as four decimal numbers", path)
        if not _NAME.fullmatch(name):
            raise TargetError("the host is neither a name nor an address", path)
        if name == "localhost" or name.endswith(".localhost"):
            self._check_address(ip_address("127.0.0.1"), Endpoint(name, port), path)
        return Endpoint(name, port)

    def _check_address(self, address: Address, endpoint: Endpoint, path: str) -> None:
        reason = addresses.refusal(address)
        if reason is None or any(e.has(address, endpoint.port) for e in self._entries):
            return
        named = any(e.names(endpoint.host, endpoint.port) for e in self._entries)
        if named and not addresses.needs_own_entry(address):
            return
        raise TargetError(
            f"{endpoint.host} is at {address} ({reason}), which is not allowed"
            if endpoint.address is None
            else f"{address} ({reason}) is not allowed",
            path,
        )

    def _listed(self, endpoint: Endpoint) -> bool:
        address = endpoint.address
        return any(
            entry.names(endpoint.host, endpoint.port)
            or (address is not None and entry.has(address, endpoint.port))
            for entry in self._entries
        )

    async def addresses_of(self, endpoint: Endpoint, *, path: str = "url") -> list[str]:
        """Resolve a target and return its addresses, all of them checked.

        Raises ``TargetError`` if even one may not be reached, ``UnresolvedError`` if there is none.
        """
        if endpoint.address is not None:
            found: Sequence[str] = [endpoint.host]
        else:
            found = await self._resolve(endpoint)
        for text in found:
            address = addresses.parse(text.partition("%")[0])
            if address is None:
                raise UnresolvedError(f"{endpoint.host} has no usable address")
            self._check_address(address, endpoint, path)
        return list(found)

    async def _resolve(self, endpoint: Endpoint) -> Sequence[str]:
        try:
            async with asyncio.timeout(RESOLVE_SECONDS):
                found = await self._lookup(endpoint.host, endpoint.port)
        except TimeoutError:
            raise UnresolvedError(f"{endpoint.host} was not resolved in time") from None
        except (OSError, UnicodeError):
            raise UnresolvedError(f"{endpoint.host} cannot be resolved") from None
        if not found:
            raise UnresolvedError(f"{endpoint.host} has no address")
        return found

    async def check_resolved(self, endpoint: Endpoint, *, path: str = "url") -> None:
        """Refuse a target whose name resolves inside now; one that does not resolve now may do so later."""
        try:
            await self.addresses_of(endpoint, path=path)
        except UnresolvedError:
            return


class GuardedResolver(AbstractResolver):
    """Gives aiohttp the addresses that the guard has checked, so that it connects to these and no others."""

    def __init__(self, guard: Guard) -> None:
        self._guard = guard

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Return the checked addresses of ``host``; the name stays what Host and SNI say."""
        return [
            ResolveResult(
                hostname=host,
                host=found,
                port=port,
                family=socket.AF_INET6 if ":" in found else socket.AF_INET,
                proto=socket.IPPROTO_TCP,
                flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            )
            for found in await self._guard.addresses_of(Endpoint(host.rstrip("."), port))
        ]

    async def close(self) -> None:
        """Nothing is kept open."""


def _ordinary_port(port: int) -> bool:
    return port in {80, 443} or (1024 <= port < 65_536 and port not in _INNER_PORTS)
