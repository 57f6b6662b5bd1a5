"""What holds of every service's contract."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from importlib.resources import files

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator
from starlette.applications import Starlette
from starlette.routing import Route

import adaptive_questions.app
import adaptive_questions.settings
import alerts_svc.app
import alerts_svc.settings
import flags_svc.app
import flags_svc.settings
import llm_simulator.app
import llm_simulator.settings
import metrics_svc.app
import metrics_svc.settings
from tests.fixtures.contract import Contract


@dataclass(frozen=True, slots=True)
class Service:
    """An application and the document in its package."""

    app: Starlette
    contract: Contract


def _service(package: str, app: Starlette) -> Service:
    return Service(app, Contract(files(package).joinpath("openapi.yaml").read_bytes()))


SERVICES = {
    "metrics-svc": _service(
        "metrics_svc",
        metrics_svc.app.create_app(metrics_svc.settings.Settings("postgresql://127.0.0.1/none")),
    ),
    "alerts-svc": _service(
        "alerts_svc",
        alerts_svc.app.create_app(alerts_svc.settings.Settings("postgresql://127.0.0.1/none")),
    ),
    "flags-svc": _service(
        "flags_svc",
        flags_svc.app.create_app(flags_svc.settings.Settings("postgresql://127.0.0.1/none")),
    ),
    "adaptive-questions": _service(
        "adaptive_questions",
        adaptive_questions.app.create_app(adaptive_questions.settings.Settings()),
    ),
    "llm-simulator": _service(
        "llm_simulator", llm_simulator.app.create_app(llm_simulator.settings.Settings())
    ),
}
each_service = pytest.mark.parametrize("service", SERVICES.values(), ids=SERVICES)


@each_service
def test_document_is_valid(service: Service) -> None:
    OpenAPIV31SpecValidator(service.contract.document).validate()


@each_service
def test_every_route_is_documented_and_every_documented_one_is_there(service: Service) -> None:
    routes = [route for route in service.app.routes if isinstance(route, Route)]

    served = {(route.path_format, method) for route in routes for method in route.methods or ()}

    documented = {(path, method) for path, method, _ in service.contract.operations()}
    # Starlette answers HEAD wherever GET is; the document says so once, in words.
    assert {(path, method) for path, method in served if method != "HEAD"} == documented


@each_service
def test_operations_are_named_once_and_sorted_under_known_tags(service: Service) -> None:
    operations = [operation for _, _, operation in service.contract.operations()]

    ids = Counter(operation["operationId"] for operation in operations)
    tags = {tag for operation in operations for tag in operation["tags"]}

    assert set(ids.values()) == {1}
    assert tags == {tag["name"] for tag in service.contract.document["tags"]}
    assert all(operation["summary"] for operation in operations)


@each_service
def test_what_any_request_may_get_stands_with_every_operation(service: Service) -> None:
    missing = [
        (path, status)
        for path, _, operation in service.contract.operations()
        for status in ("403", "500")
        if status not in operation["responses"]
    ]

    assert missing == []


@each_service
def test_every_component_is_used(service: Service) -> None:
    used = {node["$ref"] for _, node in service.contract.nodes() if "$ref" in node}

    components = {
        f"#/components/{section}/{name}"
        for section, entries in service.contract.document["components"].items()
        for name in entries
    }

    assert components - used == set()
