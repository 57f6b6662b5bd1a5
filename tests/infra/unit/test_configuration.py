from __future__ import annotations

from pathlib import Path

import pytest

from windsock_embedded import nginx
from windsock_embedded.errors import EmbeddedError
from windsock_embedded.services import ALERTS, SERVICES, WORKLOAD, Service
from windsock_embedded.settings import DEFAULT_PORTS, Settings

FACTS = {"port": 1, "data_dir": "/data"} | {
    f"{name}_port": port for name, port in DEFAULT_PORTS.items()
}


def test_settings_come_from_the_environment() -> None:
    settings = Settings.from_env({"WINDSOCK_GATEWAY_PORT": "9000", "WINDSOCK_DATA_DIR": "/x"})

    assert settings.data_dir == Path("/x")
    assert settings.ports == {**DEFAULT_PORTS, "gateway": 9000}


@pytest.mark.parametrize("text", ["", "http", "0", "65536", "-1"])
def test_a_port_that_is_none_is_refused_by_name(text: str) -> None:
    with pytest.raises(EmbeddedError, match=f"WINDSOCK_REDIS_PORT={text} is no port"):
        Settings.from_env({"WINDSOCK_REDIS_PORT": text})


def test_a_template_keeps_nginx_s_own_variables() -> None:
    filled = nginx.fill_in("listen ${WINDSOCK_A}; set $x ${uri};", {"WINDSOCK_A": "1"})

    assert filled == "listen 1; set $x ${uri};"


def test_an_unknown_name_in_a_template_is_refused() -> None:
    with pytest.raises(EmbeddedError, match=r"\$\{WINDSOCK_B\}"):
        nginx.fill_in("${WINDSOCK_B}", {})


@pytest.mark.parametrize(("text", "runs"), [("1", False), ("true", False), ("0", True), ("", True)])
def test_a_variable_leaves_the_demo_out(text: str, runs: bool) -> None:
    assert Settings.from_env({"WINDSOCK_NO_DEMO": text}).demo is runs


def test_a_switch_that_is_neither_on_nor_off_is_refused_by_name() -> None:
    with pytest.raises(EmbeddedError, match="WINDSOCK_NO_DEMO=maybe is neither true nor false"):
        Settings.from_env({"WINDSOCK_NO_DEMO": "maybe"})


def test_a_user_s_variable_wins_over_a_default_but_not_over_an_address() -> None:
    service = Service(
        "x",
        (),
        environment={"X_PORT": "{port}"},
        defaults={"X_PROBES": "redis={redis_url}", "X_LEVEL": "a"},
    )

    variables = service.variables(
        {"port": 1, "redis_url": "redis://r"}, {"X_PORT": "9", "X_LEVEL": "b", "PATH": "/bin"}
    )

    assert variables == {
        "X_PORT": "1",
        "X_PROBES": "redis=redis://r",
        "X_LEVEL": "b",
        "PATH": "/bin",
    }


@pytest.mark.parametrize(
    "variable",
    ["OPENAI_BASE_URL", "OPENAI_API_KEY", "WINDSOCK_ENDPOINT", "WINDSOCK_SPOOL_DIR"],
)
def test_what_a_shell_says_of_a_real_application_does_not_reach_the_demo(variable: str) -> None:
    said = "https://elsewhere.example.com/paid"

    variables = WORKLOAD.variables(FACTS, {variable: said})

    assert said not in variables.values()


def test_links_in_alerts_lead_to_the_gateway_unless_the_user_says_otherwise() -> None:
    facts = FACTS | {"database_url": "", "redis_url": "", "data_dir": ""}
    own = "https://alerts.example.com"

    usual = ALERTS.variables(facts, {})
    chosen = ALERTS.variables(facts, {"ALERTS_EXTERNAL_URL": own, "ALERTS_METRICS_URL": own})

    assert usual["ALERTS_EXTERNAL_URL"] == f"http://127.0.0.1:{DEFAULT_PORTS['gateway']}"
    assert chosen["ALERTS_EXTERNAL_URL"] == own
    assert chosen["ALERTS_METRICS_URL"] == f"http://127.0.0.1:{DEFAULT_PORTS['metrics']}"


def test_the_demo_asks_the_simulator_and_tells_this_stack() -> None:
    variables = WORKLOAD.variables(FACTS, {})

    assert variables["OPENAI_BASE_URL"] == f"http://127.0.0.1:{DEFAULT_PORTS['simulator']}/v1"
    assert variables["WINDSOCK_ENDPOINT"] == f"http://127.0.0.1:{DEFAULT_PORTS['gateway']}"
    assert {variables[name] for name in variables if "TRACING" in name} == {"false"}


def test_the_demo_takes_the_suite_s_flags_unless_the_user_names_others() -> None:
    usual = WORKLOAD.variables(FACTS, {})
    chosen = WORKLOAD.variables(FACTS, {"WINDSOCK_FLAGS_FILE": "mine.json"})

    assert usual["WINDSOCK_FLAGS_SOURCE"] == "service"
    assert usual["WINDSOCK_FLAGS_BACKUP_FILE"].startswith("/data/")
    assert chosen["WINDSOCK_FLAGS_FILE"] == "mine.json"


def test_a_command_names_ports_behind_its_first_word() -> None:
    service = Service("x", ("/a {b}", "--endpoint", "http://127.0.0.1:{gateway_port}"))

    assert service.argv(FACTS) == ["/a {b}", "--endpoint", "http://127.0.0.1:8000"]


def test_every_service_has_a_default_port_and_its_own() -> None:
    ports = [service.port for service in SERVICES if service.port]

    assert set(ports) <= set(DEFAULT_PORTS)
    assert len(set(ports)) == len(ports)
