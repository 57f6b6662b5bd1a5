"""Which addresses of the network a receiver may have.

``is_global`` of the standard library is not enough: it passes multicast and addresses that carry another one.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

# From IANA's registries of special addresses (RFC 6890 and what was added since).
_SPECIAL_V4 = tuple(
    (IPv4Network(network), what)
    for network, what in (
        ("0.0.0.0/8", "this host"),
        ("10.0.0.0/8", "a private network"),
        ("100.64.0.0/10", "a carrier's inner network"),
        ("127.0.0.0/8", "this machine"),
        ("169.254.0.0/16", "link-local"),
        ("172.16.0.0/12", "a private network"),
        ("192.0.0.0/24", "reserved for protocols"),
        ("192.0.2.0/24", "for documentation"),
        ("192.88.99.0/24", "a 6to4 relay"),
        ("192.168.0.0/16", "a private network"),
        ("198.18.0.0/15", "for benchmarks"),
        ("198.51.100.0/24", "for documentation"),
        ("203.0.113.0/24", "for documentation"),
        ("224.0.0.0/4", "multicast"),
        ("240.0.0.0/4", "reserved"),
    )
)
_SPECIAL_V6 = tuple(
    (IPv6Network(network), what)
    for network, what in (
        ("2001::/23", "reserved for protocols"),
        ("2001:db8::/32", "for documentation"),
        ("2002::/16", "6to4, which hides another address"),
        ("3fff::/20", "for documentation"),
    )
)
_GLOBAL_UNICAST = IPv6Network("2000::/3")
# Behind DNS64 every IPv4 address looks like this, so what counts is the address within (RFC 6052).
_NAT64 = IPv6Network("64:ff9b::/96")
_LINK_LOCAL = (IPv4Network("169.254.0.0/16"), IPv6Network("fe80::/10"))


def parse(text: str) -> Address | None:
    """Return the address that ``text`` is written as, ``None`` if it is none; a zone is no part of one."""
    try:
        return None if "%" in text else ip_address(text)
    except ValueError:
        return None


def parse_network(text: str) -> Network | None:
    """Return a network in CIDR notation, or a single address as one."""
    try:
        return ip_network(text, strict=False)
    except ValueError:
        return None


def carried(address: Address) -> Address:
    """Return the IPv4 address that an IPv6 address stands for, or else the address itself."""
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return address.ipv4_mapped
        if address in _NAT64:
            return IPv4Address(int(address) & 0xFFFF_FFFF)
    return address


def refusal(address: Address) -> str | None:
    """Return why nothing may be sent to ``address``, or ``None`` where it is a public one."""
    real = carried(address)
    if isinstance(real, IPv4Address):
        return next((what for network, what in _SPECIAL_V4 if real in network), None)
    if real.scope_id is not None or real not in _GLOBAL_UNICAST:
        return _inner_v6(real)
    return next((what for network, what in _SPECIAL_V6 if real in network), None)


def _inner_v6(address: IPv6Address) -> str:
    if address.is_loopback:
        return "this machine"
    if address.is_multicast:
        return "multicast"
    if address.is_link_local:
        return "link-local"
    return "a private network" if address.is_private else "reserved"


def needs_own_entry(address: Address) -> bool:
    """Tell whether only a network of the allow-list can allow it, not a name that happens to resolve to it.

    Link-local addresses are where clouds keep a machine's credentials; a group of receivers is never one receiver.
    """
    real = carried(address)
    special = any(real in network for network in _LINK_LOCAL if network.version == real.version)
    return special or real.is_multicast or real.is_unspecified
