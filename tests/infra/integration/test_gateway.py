from __future__ import annotations

import json
import os
import re
import signal
import socket

import httpx
import pytest

from tests.fixtures.stacks import EmbeddedStack
from windsock_embedded.processes import wait_until


@pytest.mark.parametrize(
    "path",
    [
        "/api/metrics/x?a=1",
        "/v1/traces",
        "/v1/metrics",
        "/api/alerts",
        "/api/alerts/rules?a=1",
        "/api/v1/rules",
        "/api/v2/silences?a=1",
        "/api/feature-flags",
        "/api/feature-flags/a%2Fb?a=1",
        "/ofrep/v1/evaluate/flags/a%20b",
        "/api/adaptive-questions/x?a=1",
    ],
)
def test_a_service_gets_its_prefixes_unchanged(shared_stack: EmbeddedStack, path: str) -> None:
    answer = httpx.post(f"{shared_stack.gateway}{path}", content=b"{}")

    assert answer.json()["path"] == path


def test_the_host_is_passed_with_its_port(shared_stack: EmbeddedStack) -> None:
    seen = httpx.get(f"{shared_stack.gateway}/api/metrics/x").json()["headers"]

    assert seen["host"] == f"127.0.0.1:{shared_stack.ports['gateway']}"
    assert seen["x-forwarded-for"] == "127.0.0.1"


def test_the_token_of_a_link_is_not_logged(shared_stack: EmbeddedStack) -> None:
    log = shared_stack.folder / "logs" / "gateway-access.log"

    answer = httpx.get(f"{shared_stack.gateway}/api/alerts/links/s3cret.token")

    assert answer.json()["path"] == "/api/alerts/links/s3cret.token"
    assert wait_until(lambda: "/api/alerts/links/{token}" in log.read_text(), 5)
    assert "s3cret" not in log.read_text()


def test_an_unknown_path_is_a_problem(shared_stack: EmbeddedStack) -> None:
    answer = httpx.get(f"{shared_stack.gateway}/api/nothing")

    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["code"] == "not_found"
    assert answer.json()["request_id"] == answer.headers["x-request-id"]


def test_a_sane_request_id_is_passed_on_and_echoed_once(shared_stack: EmbeddedStack) -> None:
    given = "job-7_a.b"

    answer = httpx.get(f"{shared_stack.gateway}/api/metrics/x", headers={"X-Request-ID": given})

    assert answer.json()["headers"]["x-request-id"] == given
    assert answer.headers.get_list("x-request-id") == [given]


@pytest.mark.parametrize("given", ["two words", "x" * 129, '"}', ""], ids=len)
def test_another_request_id_is_replaced(shared_stack: EmbeddedStack, given: str) -> None:
    answer = httpx.get(f"{shared_stack.gateway}/api/metrics/x", headers={"X-Request-ID": given})

    made = answer.json()["headers"]["x-request-id"]
    assert re.fullmatch(r"[0-9a-f]{32}", made)
    assert answer.headers["x-request-id"] == made


@pytest.mark.parametrize("path", ["/", "/nothing", "/api/metrics/x", "/api/metrics/page"])
def test_every_answer_has_the_security_headers(shared_stack: EmbeddedStack, path: str) -> None:
    headers = httpx.get(f"{shared_stack.gateway}{path}").headers

    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "no-referrer"
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert headers["server"] == "nginx"


def test_a_page_may_load_its_own_scripts_and_data_none(shared_stack: EmbeddedStack) -> None:
    page = httpx.get(f"{shared_stack.gateway}/api/metrics/page").headers
    data = httpx.get(f"{shared_stack.gateway}/api/metrics/x").headers

    assert page["content-security-policy"].startswith("default-src 'self'")
    assert data["content-security-policy"].startswith("default-src 'none'")


def test_large_answers_are_compressed_for_who_can_read_it(shared_stack: EmbeddedStack) -> None:
    url = f"{shared_stack.gateway}/api/metrics/big"

    plain = httpx.get(url, headers={"Accept-Encoding": "identity"})
    small = httpx.get(url, headers={"Accept-Encoding": "gzip"})

    assert "content-encoding" not in plain.headers
    assert small.headers["content-encoding"] == "gzip"
    assert small.headers["vary"] == "Accept-Encoding"
    assert small.json() == plain.json()


def test_each_service_has_its_own_prefix(shared_stack: EmbeddedStack) -> None:
    metrics = httpx.get(f"{shared_stack.gateway}/api/metrics/x").json()["pid"]
    alerts = [
        httpx.get(shared_stack.gateway + path).json()["pid"]
        for path in ("/api/alerts", "/api/alerts/x", "/api/v1/x", "/api/v2/x")
    ]
    flags = [
        httpx.get(shared_stack.gateway + path).json()["pid"]
        for path in ("/api/feature-flags", "/api/feature-flags/x", "/ofrep/v1/x")
    ]
    workload = httpx.get(f"{shared_stack.gateway}/api/adaptive-questions/x").json()["pid"]

    assert metrics == shared_stack.pid("metrics-svc")
    assert set(alerts) == {shared_stack.pid("alerts-svc")}
    assert set(flags) == {shared_stack.pid("flags-svc")}
    assert workload == shared_stack.pid("adaptive-questions")


@pytest.mark.parametrize(
    ("method", "prefix"),
    [("GET", "/api/metrics"), ("POST", "/api/adaptive-questions"), ("GET", "/api/feature-flags")],
)
def test_a_stream_arrives_while_it_is_being_sent(
    shared_stack: EmbeddedStack, method: str, prefix: str
) -> None:
    with httpx.stream(method, f"{shared_stack.gateway}{prefix}/stream", content=b"{}") as answer:
        parts = answer.iter_bytes()
        first = next(parts)
        httpx.get(f"{shared_stack.gateway}{prefix}/release")
        rest = b"".join(parts)

    assert first == b"data: first\n\n"
    assert rest == b"data: second\n\n"


def test_a_service_s_own_retry_after_is_kept(shared_stack: EmbeddedStack) -> None:
    answer = httpx.get(f"{shared_stack.gateway}/api/metrics/busy")

    assert answer.status_code == 503
    assert answer.headers.get_list("retry-after") == ["7"]


def test_a_body_of_eight_mebibytes_passes_and_one_over_nine_is_a_problem(
    shared_stack: EmbeddedStack,
) -> None:
    url = f"{shared_stack.gateway}/api/metrics/x"

    passed = httpx.post(url, content=bytes(8 * 2**20))
    refused = httpx.post(url, content=bytes(9 * 2**20 + 1))
    imported = httpx.post(
        f"{shared_stack.gateway}/api/feature-flags/import", content=bytes(16 * 2**20)
    )

    assert passed.status_code == imported.status_code == 200
    assert refused.status_code == 413
    assert refused.json()["code"] == "too_large"


@pytest.mark.parametrize(
    ("request_head", "status", "code"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", 400, "bad_request"),
        (b"NONSENSE\r\n\r\n", 400, "bad_request"),
        (b"GET /%zz HTTP/1.1\r\nHost: localhost\r\n\r\n", 400, "bad_request"),
        (
            b"GET / HTTP/1.1\r\nHost: localhost\r\nX: %b\r\n\r\n" % (b"a" * 33_000),
            400,
            "bad_request",
        ),
        (b"GET /?%b HTTP/1.1\r\nHost: localhost\r\n\r\n" % (b"a" * 9_000), 414, "uri_too_long"),
    ],
    ids=["no host", "no request line", "bad escape", "long header", "long address"],
)
def test_malformed_http_is_a_problem_too(
    shared_stack: EmbeddedStack, request_head: bytes, status: int, code: str
) -> None:
    with socket.create_connection(("127.0.0.1", shared_stack.ports["gateway"])) as connection:
        connection.sendall(request_head)
        answer = b"".join(iter(lambda: connection.recv(65536), b""))

    assert answer.startswith(b"HTTP/1.1 %d" % status)
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["code"] == code


def test_what_there_is_is_listed_with_its_documentation(shared_stack: EmbeddedStack) -> None:
    services = httpx.get(shared_stack.gateway).json()["services"]

    assert services.keys() == {"metrics", "alerts", "feature-flags", "adaptive-questions"}
    for name, service in services.items():
        assert service["docs"] == f"/api/{name}/docs"


@pytest.mark.parametrize("path", ["/api/metrics", "/api/adaptive-questions", "/.gateway/timeout"])
def test_what_is_no_address_of_a_service_is_not_found(
    shared_stack: EmbeddedStack, path: str
) -> None:
    answer = httpx.get(shared_stack.gateway + path)

    assert answer.status_code == 404
    assert answer.json()["code"] == "not_found"


def test_a_service_that_is_down_is_a_problem_with_when_to_retry(stack: EmbeddedStack) -> None:
    stack.up()
    # A stopped launcher starts nothing again.
    os.kill(stack.pid("launcher"), signal.SIGSTOP)
    os.kill(stack.pid("metrics-svc"), signal.SIGKILL)
    url = f"{stack.gateway}/api/metrics/x"

    down = wait_until(lambda: httpx.get(url).status_code == 503, 10)
    # Of a stack without the demo, the application is down from the start.
    answers = [
        httpx.post(stack.gateway + path, content=b"{}")
        for path in ("/api/metrics/x", "/api/adaptive-questions/generate")
    ]
    os.kill(stack.pid("launcher"), signal.SIGCONT)

    assert down
    for answer in answers:
        assert answer.status_code == 503
        assert answer.headers["retry-after"] == "2"
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["code"] == "unavailable"


def test_tokens_in_addresses_are_not_logged_when_services_are_down(stack: EmbeddedStack) -> None:
    stack.up()
    os.kill(stack.pid("launcher"), signal.SIGSTOP)
    for service in ("flags-svc", "alerts-svc"):
        os.kill(stack.pid(service), signal.SIGKILL)
    secret = ["/ofrep/v1/sse?token=s3cret", "/api/alerts/links/s3cret"]

    try:
        down = wait_until(
            lambda: all(httpx.get(stack.gateway + path).status_code == 503 for path in secret), 20
        )
        other = httpx.get(f"{stack.gateway}/api/feature-flags/other?a=1")
        logs = [path.read_text() for path in (stack.folder / "logs").glob("gateway*")]
    finally:
        os.kill(stack.pid("launcher"), signal.SIGCONT)

    assert down
    assert other.status_code == 503
    assert any("/api/feature-flags/other?a=1" in log for log in logs), "failures are logged"
    assert not any("s3cret" in log for log in logs)
