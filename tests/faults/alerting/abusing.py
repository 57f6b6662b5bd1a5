"""Requests that are there to do harm, sent as raw bytes: making them must cost the test less than they cost the service."""

from __future__ import annotations

import asyncio
import functools
import gzip
import sys
from collections import Counter
from pathlib import Path

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

POSTED = "/api/v2/alerts"
MIB = 2**20


def post(path: str, body: bytes, *, encoding: str = "", length: int | None = None) -> bytes:
    """Return a request; ``length`` may lie."""
    head = [
        f"POST {path} HTTP/1.1",
        "Host: 127.0.0.1",
        "Content-Type: application/json",
        f"Content-Length: {len(body) if length is None else length}",
        *([f"Content-Encoding: {encoding}"] if encoding else []),
    ]
    return "\r\n".join([*head, "", ""]).encode() + body


def get(path: str) -> bytes:
    """Return a request that asks for something."""
    return f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()


def chunked(path: str, size: int) -> bytes:
    """Return a request whose body of ``size`` bytes says nothing of its length."""
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    chunk = b"10000\r\n" + b" " * 65_536 + b"\r\n"
    return head + chunk * (size // 65_536) + b"0\r\n\r\n"


def labels(count: int) -> bytes:
    """Return an alert with so many labels."""
    found = b",".join(b'"a%d":"b"' % number for number in range(count))
    return b'[{"labels":{' + found + b"}}]"


@functools.cache
def bombs() -> dict[str, bytes]:
    """Return requests by what they are; each must be refused."""
    zeros = gzip.compress(bytes(128 * MIB), 9)
    assert len(zeros) < 140_000
    more = zstd.compress(bytes(512 * MIB), 19)
    assert len(more) < 70_000
    deep = b"[" * 100_000 + b"]" * 100_000
    return {
        "gzip": post(POSTED, zeros, encoding="gzip"),
        "gzip in gzip members": post(POSTED, gzip.compress(b" " * MIB) * 90, encoding="gzip"),
        "empty members": post(POSTED, gzip.compress(b"") * 100_000, encoding="gzip"),
        "zstd": post(POSTED, more, encoding="zstd"),
        "empty frames": post(POSTED, zstd.compress(b"") * 200_000, encoding="zstd"),
        "cut off": post(POSTED, zeros[:-10], encoding="gzip"),
        "deep": post(POSTED, deep),
        "deep in a label": post(POSTED, b'[{"labels":{"a":' + deep + b"}}]"),
        "deep in a rule": post("/api/alerts/rules", b'{"labels":' + deep + b"}"),
        "labels": post(POSTED, labels(1_000_000)),
        "labels, compressed": post(POSTED, gzip.compress(labels(1_000_000), 1), encoding="gzip"),
        "labels that fit": post(POSTED, labels(150_000)),
        "labels of a rule": post("/api/alerts/rules", b'{"labels":' + labels(150_000)[11:-2] + b"}"),
        "alerts": post(POSTED, b"[" + b"{}," * 600_000 + b"{}]"),
        "chunked": chunked(POSTED, 32 * MIB),
        "announced": post(POSTED, b"[]", length=10**15),
        "number": post("/api/alerts/rules", b'{"name":' + b"9" * MIB + b"}"),
        "expression": post("/api/v2/silences", b'{"matchers":[{"name":"a","isRegex":true,"value":"' + b"(a*)*" * 100_000 + b'"}]}'),
    }  # fmt: skip


async def answered(port: int, request: bytes) -> int:
    """Send a request on a connection of its own and return the status, 0 where the connection ends without one."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(request)
        line = await reader.readline()
        return int(line.split()[1]) if line else 0
    except OSError:
        return 0
    finally:
        writer.transport.abort()


async def repeat(port: int, requests: list[bytes], statuses: Counter[int]) -> None:
    """Send requests one after the other until cancelled, counting what is answered."""
    while True:
        for request in requests:
            statuses[await answered(port, request)] += 1


async def hammer(port: int, request: bytes, statuses: Counter[int]) -> None:
    """Ask on one connection as fast as it is answered, until cancelled."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        while True:
            writer.write(request)
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            length = int(head.partition(b"content-length:")[2].split(b"\r\n")[0])
            await reader.readexactly(length)
            statuses[int(head.split()[1])] += 1
    finally:
        writer.transport.abort()


async def drip(port: int) -> None:
    """Send a body one byte a second, until cancelled."""
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(post(POSTED, b"", length=1_000_000))
        while True:
            await asyncio.sleep(1)
            writer.write(b" ")
    finally:
        writer.transport.abort()


def memory(pid: int, what: str) -> int:
    """Return bytes of a process's memory: ``VmRSS`` now, ``VmHWM`` the most since ``forget_peak``."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{what}:"))


def forget_peak(pid: int) -> None:
    """Let ``VmHWM`` begin anew."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")
