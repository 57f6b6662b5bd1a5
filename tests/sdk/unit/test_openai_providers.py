import pytest

from metrics_svc.catalogue import GenaiCatalogue
from windsock.integrations._providers import PROVIDERS, host_of, provider_of


@pytest.mark.parametrize(
    ("base_url", "provider"),
    [
        ("https://api.openai.com/v1/", "openai"),
        ("https://eu.api.openai.com/v1", "openai"),
        ("https://ours.openai.azure.com/openai/", "azure"),
        ("https://generativelanguage.googleapis.com/v1beta/openai/", "google"),
        ("https://aiplatform.googleapis.com/v1/projects/p/locations/l/endpoints/openapi", "google"),
        ("https://bedrock-runtime.eu-west-1.amazonaws.com/openai/v1", "aws"),
        ("https://OpenRouter.ai/api/v1", "openrouter"),
        ("https://api.groq.com/openai/v1", "groq"),
        ("https://api.mistral.ai/v1", "mistral"),
        ("https://api.deepseek.com", "deepseek"),
        ("https://api.together.xyz/v1", "together"),
        ("https://api.x.ai:443/v1", "x-ai"),
    ],
)
def test_the_base_url_tells_the_provider(base_url: str, provider: str) -> None:
    assert provider_of(base_url) == provider


@pytest.mark.parametrize(
    "base_url",
    [
        "http://127.0.0.1:8011/v1",
        "https://notapi.openai.com.example.org/v1",
        "https://xapi.x.ai/",
        "",
    ],
)
def test_any_other_host_is_nobody_s(base_url: str) -> None:
    assert provider_of(base_url) is None


def test_a_host_is_named_without_its_port() -> None:
    assert host_of("http://Models.internal:8011/v1") == "models.internal"


@pytest.mark.parametrize("provider", sorted(PROVIDERS))
def test_prices_are_known_under_each_name(provider: str) -> None:
    assert GenaiCatalogue().provider_id(provider) == provider
