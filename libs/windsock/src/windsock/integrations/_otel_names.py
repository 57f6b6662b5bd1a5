"""The attribute names of three generations of conventions, as the service reads them from OTLP.

In each tuple the newest name stands first. The service has the same tables, and a test compares
what both make of the same spans.
"""

from __future__ import annotations

import re
from functools import lru_cache


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


OPERATION = "windsock.operation"
ORIGIN = {
    "environment": (
        "windsock.environment",
        "deployment.environment.name",
        "deployment.environment",
    ),
    "gap_priority": ("windsock.gap_priority",),
    "user_id": ("user.id", "enduser.id", "windsock.user_id"),
    "session_id": ("session.id", "gen_ai.conversation.id", "windsock.session_id"),
}
FLAG_PREFIX = "windsock.flag."
FLAG_EVENTS = frozenset({"feature_flag.evaluation", "feature_flag"})
FLAG_KEY = ("feature_flag.key",)
FLAG_VARIANT = ("feature_flag.result.variant", "feature_flag.variant", "feature_flag.result.value")
EVALUATION_EVENT = "gen_ai.evaluation.result"
EVALUATION_NAME = "gen_ai.evaluation.name"
EVALUATION_SCORE = "gen_ai.evaluation.score.value"
EVALUATION_SCALE = "windsock.evaluation.scale"

PROVIDER = ("gen_ai.provider.name", "gen_ai.system", "llm.provider", "llm.system")
REQUEST_MODEL = ("gen_ai.request.model", "llm.model_name", "embedding.model_name")
RESPONSE_MODEL = ("gen_ai.response.model",)
INPUT_TOKENS = (
    "gen_ai.usage.input_tokens",
    "gen_ai.usage.prompt_tokens",
    "llm.token_count.prompt",
    "llm.usage.prompt_tokens",
)
OUTPUT_TOKENS = (
    "gen_ai.usage.output_tokens",
    "gen_ai.usage.completion_tokens",
    "llm.token_count.completion",
    "llm.usage.completion_tokens",
)
# Copied from a provider's own counters: with Anthropic and Bedrock the input excludes them.
RAW_CACHE = (
    "gen_ai.usage.cache_read_input_tokens",
    "gen_ai.usage.cache_creation_input_tokens",
    "gen_ai.usage.cache_write_input_tokens",
)
CACHE_READ_TOKENS = (
    "gen_ai.usage.cache_read.input_tokens",
    "llm.token_count.prompt_details.cache_read",
    "gen_ai.usage.input_tokens.cached",
    RAW_CACHE[0],
)
CACHE_WRITE_TOKENS = (
    "gen_ai.usage.cache_write.input_tokens",
    "gen_ai.usage.cache_creation.input_tokens",
    "llm.token_count.prompt_details.cache_write",
    "gen_ai.usage.input_tokens.cache_write",
    RAW_CACHE[1],
    RAW_CACHE[2],
)
REASONING_TOKENS = (
    "gen_ai.usage.reasoning.output_tokens",
    "llm.token_count.completion_details.reasoning",
    "gen_ai.usage.reasoning_tokens",
    "gen_ai.usage.output_tokens.reasoning",
)
TOKEN_CONVENTION = "windsock.token_convention"  # noqa: S105  tokens of a model, no secret
COST = ("gen_ai.usage.cost", "gen_ai.usage.total_cost", "llm.cost.total", "operation.cost")

OPERATION_KIND = "gen_ai.operation.name"
REQUEST_TYPE = "llm.request.type"
OPENINFERENCE_KIND = "openinference.span.kind"
INFERENCE_OPERATIONS = _words(
    "chat text_completion generate_content embeddings completion embedding"
)
# A span of these may carry the sum of its children's tokens.
OTHER_OPERATIONS = _words(
    "create_agent create_memory create_memory_store delete_memory delete_memory_store "
    "execute_tool fetch_response invoke_agent invoke_workflow plan rerank retrieval "
    "search_memory update_memory upsert_memory"
)
INFERENCE_KINDS = frozenset({"llm", "embedding"})
# Where no operation is named, one of these says that the span wraps calls and is none.
WRAPPER_MARKS = _words(
    "traceloop.span.kind gen_ai.agent.name gen_ai.agent.id agent_name gen_ai.tool.name "
    "gen_ai.workflow.name"
)
# A span without any of these is no inference, whatever else it carries.
INFERENCE_MARKS = frozenset(
    {OPERATION_KIND, REQUEST_TYPE, OPENINFERENCE_KIND, *PROVIDER, *REQUEST_MODEL, *RESPONSE_MODEL}
    | {*INPUT_TOKENS, *OUTPUT_TOKENS}
)

# Spellings of older generations and of vendors, to those of gen_ai.provider.name.
PROVIDERS = {
    "amazon": "aws.bedrock",
    "aws": "aws.bedrock",
    "aws_bedrock": "aws.bedrock",
    "az.ai.inference": "azure.ai.inference",
    "az.ai.openai": "azure.ai.openai",
    "azure": "azure.ai.openai",
    "azure_openai": "azure.ai.openai",
    "bedrock": "aws.bedrock",
    "gemini": "gcp.gemini",
    "google": "gcp.gemini",
    "google_genai": "gcp.gen_ai",
    "google_vertexai": "gcp.vertex_ai",
    "mistral": "mistral_ai",
    "mistralai": "mistral_ai",
    "moonshot": "moonshot_ai",
    "vertex_ai": "gcp.vertex_ai",
    "vertexai": "gcp.vertex_ai",
    "watsonx": "ibm.watsonx.ai",
    "xai": "x_ai",
}

# What becomes of an attribute, as bits.
DROP = 0
KEEP = 1
# Of the model's call: goes to llm_call where there is one.
GENAI = 2
# A field of llm_call; an attribute of a span that is no call.
FIELD = 4
# Its name says that its text would be content, so only a number or a boolean is kept.
NO_TEXT = 8
FLAG = 16

_FIELDS = frozenset(
    {*PROVIDER, *REQUEST_MODEL, *RESPONSE_MODEL, *INPUT_TOKENS, *OUTPUT_TOKENS, *COST}
    | {*CACHE_READ_TOKENS, *CACHE_WRITE_TOKENS, *REASONING_TOKENS}
)
_CONTEXT = frozenset(
    {OPERATION, TOKEN_CONVENTION, EVALUATION_SCALE, "error.type"}.union(*ORIGIN.values())
)
# Their words would make them content, their meaning does not.
_KNOWN = _words(
    "gen_ai.agent.description gen_ai.request.encoding_formats gen_ai.request.stop_sequences "
    "gen_ai.response.finish_reasons gen_ai.tool.description llm.response.finish_reason "
    "openai.response.system_fingerprint"
)
_CONTENT_WORDS = _words(
    "answer args argument arguments authorization body chunk completion completions content "
    "cookie definitions description document documents embedding events explanation headers "
    "input inputs instruction instructions message messages metadata output outputs "
    "parameters password payload prompt prompts query question reasoning records response "
    "responses result results schema secret sequences statement text thinking tools url vector"
)
# The last word of names that describe content without repeating it: prompt.id, message.role.
_HARMLESS_ENDINGS = _words(
    "count format hash id index kind language length level model name role size status tier "
    "type version"
)
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
_GENAI_PREFIXES = ("gen_ai.", "llm.", "openai.", "aws.bedrock.", "azure.ai.")


@lru_cache(maxsize=4096)
def verdict(name: str) -> int:
    """Decide what becomes of the attribute ``name``: ``DROP`` or a sum of the bits above.

    Prompts, completions, tool arguments and the like are never recorded, and their names cannot
    be listed: an attribute whose name contains a word for content keeps numbers only.
    """
    if name in _CONTEXT or "\0" in name or not name:
        return DROP
    if name.startswith(FLAG_PREFIX):
        return FLAG if len(name) > len(FLAG_PREFIX) else DROP
    if name in _FIELDS:
        return KEEP | GENAI | FIELD
    genai = GENAI if name.startswith(_GENAI_PREFIXES) else 0
    return KEEP | genai | (NO_TEXT if _means_content(name) else 0)


def _means_content(name: str) -> bool:
    words = [word.lower() for word in _WORD.findall(name)]
    if name in _KNOWN or _CONTENT_WORDS.isdisjoint(words):
        return False
    return words[-1] not in _HARMLESS_ENDINGS
