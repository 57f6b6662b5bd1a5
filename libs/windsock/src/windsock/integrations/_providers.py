"""Which provider answers at a base URL, under the names that price lists use."""

from __future__ import annotations

from functools import lru_cache
from urllib.parse import urlsplit

# By the end of the host's name.
_HOSTS = {
    "amazonaws.com": "aws",
    "api.anthropic.com": "anthropic",
    "api.aws": "aws",
    "api.cerebras.ai": "cerebras",
    "api.cohere.ai": "cohere",
    "api.cohere.com": "cohere",
    "api.deepseek.com": "deepseek",
    "api.fireworks.ai": "fireworks",
    "api.githubcopilot.com": "github-copilot",
    "api.groq.com": "groq",
    "api.minimax.io": "minimax",
    "api.mistral.ai": "mistral",
    "api.moonshot.ai": "moonshotai",
    "api.moonshot.cn": "moonshotai",
    "api.novita.ai": "novita",
    "api.openai.com": "openai",
    "api.perplexity.ai": "perplexity",
    "api.together.ai": "together",
    "api.together.xyz": "together",
    "api.x.ai": "x-ai",
    "api.z.ai": "zai",
    "azure-api.net": "azure",
    "cognitiveservices.azure.com": "azure",
    "googleapis.com": "google",
    "open.bigmodel.cn": "zhipuai",
    "openai.azure.com": "azure",
    "openrouter.ai": "openrouter",
    "services.ai.azure.com": "azure",
}
PROVIDERS = frozenset(_HOSTS.values())


@lru_cache(maxsize=64)
def provider_of(base_url: str) -> str | None:
    """Return the provider, or ``None`` for a host that is nobody's whom we know."""
    labels = host_of(base_url).split(".")
    ends = (".".join(labels[first:]) for first in range(len(labels)))
    return next((_HOSTS[end] for end in ends if end in _HOSTS), None)


def host_of(base_url: str) -> str:
    """Return the host's name, without the port."""
    return (urlsplit(base_url).hostname or "").rstrip(".").lower()
