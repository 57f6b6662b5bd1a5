from __future__ import annotations

from pathlib import Path

import pytest

from windsock_embedded import nginx
from windsock_embedded.errors import EmbeddedError
from windsock_embedded.services import SERVICES, Service
from windsock_embedded.settings import DEFAULT_PORTS, Settings


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


def test_a_user_s_variable_wins_but_not_over_the_address() -> None:
    service = Service(
        "x", "metrics", (), {"X_PORT": "{port}", "X_PROBES": "redis={redis_url}", "X_LEVEL": "a"}
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


def test_every_service_has_a_default_port_and_its_own() -> None:
    ports = [service.port for service in SERVICES]

    assert set(ports) <= set(DEFAULT_PORTS)
    assert len(set(ports)) == len(ports)
