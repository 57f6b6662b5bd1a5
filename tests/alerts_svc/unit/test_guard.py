"""What may be a target, and what may not, however it is written."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from alerts_svc.notify import addresses
from alerts_svc.notify.guard import Endpoint, Guard, TargetError, UnresolvedError, entries

INNER = [
    "http://127.0.0.1/",
    "http://127.8.9.1:8080/",
    "http://localhost:8001/",
    "http://LOCALHOST./",
    "http://db.localhost/",
    "http://10.1.2.3/",
    "http://172.31.255.254/",
    "http://192.168.0.1/",
    "http://100.64.0.1/",
    "http://169.254.169.254/latest/meta-data/",
    "http://0.0.0.0/",
    "http://255.255.255.255/",
    "http://224.0.0.1/",
    "http://240.0.0.1/",
    "http://192.88.99.1/",
    "http://198.18.0.1/",
    "http://[::1]/",
    "http://[::]/",
    "http://[::ffff:127.0.0.1]/",
    "http://[::ffff:7f00:1]/",
    "http://[::127.0.0.1]/",
    "http://[64:ff9b::7f00:1]/",
    "http://[64:ff9b::a9fe:a9fe]/",
    "http://[64:ff9b:1::1]/",
    "http://[2002:7f00:1::]/",
    "http://[2001::1]/",
    "http://[fe80::1]/",
    "http://[fe80::1%25eth0]/",
    "http://[fc00::1]/",
    "http://[fd12:3456::1]/",
    "http://[fec0::1]/",
    "http://[ff02::1]/",
    "http://[100::1]/",
    "http://[2001:db8::1]/",
]
WRITTEN_OTHERWISE = [
    "http://2130706433/",
    "http://0x7f000001/",
    "http://0x7f.1/",
    "http://0177.0.0.1/",
    "http://127.1/",
    "http://127.0.0.1./",
    "http://1.2.3.4.5/",
    "http://①②⑦.⓪.⓪.①/",
    "http://127。0。0。1/",
    "http://%31%32%37.0.0.1/",
    "http://127.0.0.1%00.example.com/",
    "http://example.com@127.0.0.1/",
    "http://127.0.0.1@example.com/",
    "http://user:word@example.com/",
    "http://@example.com/",
    "http://example.com\\@127.0.0.1/",
    "http://example.com\r\nHost: inner/",
    "http:///path",
    "http://",
    "//example.com/",
    "example.com",
    "",
    "http://exa mple.com/",
    "http://[::1/",
    "http://-._/",
]
SCHEMES = [
    "ftp://example.com/",
    "file:///etc/passwd",
    "gopher://example.com/",
    "javascript:alert(1)",
    "data:text/plain,x",
    "unix:///run/docker.sock",
    "ws://example.com/",
]


@pytest.mark.parametrize("url", [*INNER, *WRITTEN_OTHERWISE, *SCHEMES])
def test_inner_and_misleading_targets_are_refused(url: str) -> None:
    with pytest.raises(TargetError) as refused:
        Guard().check_url(url)

    assert refused.value.path == "url"


@pytest.mark.parametrize(
    "port", [0, 1, 21, 22, 23, 25, 111, 1023, 2375, 5432, 6379, 9200, 27017, 65_536]
)
def test_ports_of_other_services_are_refused(port: int) -> None:
    with pytest.raises(TargetError):
        Guard().check_url(f"https://hooks.example.com:{port}/x")


@pytest.mark.parametrize(
    ("url", "host", "port"),
    [
        ("https://hooks.slack.com/services/T/B/x", "hooks.slack.com", 443),
        ("http://example.com/", "example.com", 80),
        ("https://EXAMPLE.com.:8443/a?b=c@d", "example.com", 8443),
        ("https://93.184.215.14/", "93.184.215.14", 443),
        ("https://[2606:4700::1111]:8080/", "2606:4700::1111", 8080),
        ("https://[64:ff9b::5db8:d70e]/", "64:ff9b::5db8:d70e", 443),
        ("https://xn--bcher-kva.example/", "xn--bcher-kva.example", 443),
        ("https://my_host.example.com/", "my_host.example.com", 443),
    ],
)
def test_public_targets_pass(url: str, host: str, port: int) -> None:
    assert Guard().check_url(url) == Endpoint(host, port)


@pytest.mark.parametrize(
    ("allowed", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:6379/"),
        ("127.0.0.1:9000", "http://127.0.0.1:9000/"),
        ("10.0.0.0/8", "http://10.200.3.4:22/"),
        ("10.0.0.0/8:8080", "http://10.200.3.4:8080/"),
        ("[fd00::/8]:8080", "http://[fd00::5]:8080/"),
        ("fd00::/8", "http://[fd00::5]/"),
        ("localhost:3000", "http://localhost:3000/"),
        (" other, Inner.Example:22 ,", "http://inner.example:22/"),
        ("169.254.169.254", "http://169.254.169.254/"),
        ("127.0.0.0/8", "http://[::ffff:127.0.0.1]/"),
    ],
)
def test_operator_may_allow_inner_targets(allowed: str, url: str) -> None:
    with pytest.raises(TargetError):
        Guard().check_url(url.replace("inner.example", "127.0.0.1"))

    Guard(allowed).check_url(url)


@pytest.mark.parametrize(
    ("allowed", "url"),
    [
        ("127.0.0.1:9000", "http://127.0.0.1:9001/"),
        ("10.0.0.0/8:8080", "http://10.0.0.1:80/"),
        ("10.0.0.0/8", "http://11.0.0.1:22/"),
        ("localhost:3000", "http://localhost:3001/"),
        ("127.0.0.1", "ftp://127.0.0.1/"),
        ("127.0.0.1", "http://2130706433/"),
        ("inner.example", "http://other.inner.example:22/"),
    ],
)
def test_list_allows_nothing_beside_what_it_says(allowed: str, url: str) -> None:
    with pytest.raises(TargetError):
        Guard(allowed).check_url(url)


@pytest.mark.parametrize("wrong", ["http://x/", "a b", "host:99999", "10.0.0.0/33", "host:0", "*"])
def test_list_that_cannot_be_read_is_refused(wrong: str) -> None:
    with pytest.raises(ValueError, match="is not host"):
        entries(wrong)


def test_without_tls_only_what_is_listed_passes_where_tls_is_wanted() -> None:
    guard = Guard("127.0.0.1")

    assert guard.check_url("http://127.0.0.1:9000/", schemes=("https",)).port == 9000
    with pytest.raises(TargetError, match="https"):
        guard.check_url("http://example.com/", schemes=("https",))


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "[::1]", "2130706433", "a b", "x\r\ny", ""]
)
def test_mail_servers_are_guarded_too(host: str) -> None:
    with pytest.raises(TargetError):
        Guard().check_smtp(host, 587)


def test_ports_of_mail_servers() -> None:
    for port in (25, 465, 587, 2525):
        assert Guard().check_smtp("mail.example.com", port) == Endpoint("mail.example.com", port)
    for port in (22, 80, 5432):
        with pytest.raises(TargetError) as refused:
            Guard().check_smtp("mail.example.com", port)
        assert refused.value.path == "port"


def guard_of(*found: str, allowed: str = "") -> Guard:
    async def lookup(_: str, __: int) -> Sequence[str]:
        return found

    return Guard(allowed, lookup=lookup)


async def test_all_addresses_of_a_name_must_be_outside() -> None:
    endpoint = Endpoint("hooks.example.com", 443)

    assert await guard_of("93.184.215.14", "2606:4700::1").addresses_of(endpoint) == [
        "93.184.215.14",
        "2606:4700::1",
    ]
    for inner in ("10.0.0.1", "::1", "64:ff9b::a00:1", "fe80::1%eth0"):
        with pytest.raises(TargetError):
            await guard_of("93.184.215.14", inner).addresses_of(endpoint)


async def test_listed_name_may_be_inside_but_not_where_clouds_keep_credentials() -> None:
    endpoint = Endpoint("inner.example", 8080)

    assert await guard_of("10.0.0.1", allowed="inner.example").addresses_of(endpoint)
    assert await guard_of("10.0.0.1", allowed="10.0.0.0/24").addresses_of(endpoint)
    with pytest.raises(TargetError):
        await guard_of("169.254.169.254", allowed="inner.example").addresses_of(endpoint)
    with pytest.raises(TargetError):
        await guard_of("10.0.0.1", allowed="inner.example:80").addresses_of(endpoint)


async def test_name_without_an_address_is_no_verdict() -> None:
    async def failing(_: str, __: int) -> Sequence[str]:
        raise OSError("no such name")

    for guard in (guard_of(), Guard(lookup=failing)):
        with pytest.raises(UnresolvedError):
            await guard.addresses_of(Endpoint("nowhere.example", 443))
        await guard.check_resolved(Endpoint("nowhere.example", 443))


def test_zone_is_no_part_of_an_address() -> None:
    assert addresses.parse("fe80::1%eth0") is None
