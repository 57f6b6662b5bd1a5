"""``GET /v1/models``."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from llm_simulator.domain.catalogue import MODELS
from llm_simulator.state import State
from windsock_kit.responses import json

# OpenAI's list has the day of each model's making; ours were all made with this simulator.
_CREATED = 1_793_491_200


async def models(_: Request[State]) -> Response:
    """List the models."""
    data = [
        {"id": name, "object": "model", "created": _CREATED, "owned_by": "llm-simulator"}
        for name in MODELS
    ]
    return json({"object": "list", "data": data})


routes = [Route("/v1/models", models)]
