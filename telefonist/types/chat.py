"""Models, their providers, and what is said to them and by them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, NamedTuple

from telefonist.types.values import Json, Usage


@dataclass(frozen=True, slots=True)
class ProviderConfig:
    """One upstream as a row: its wire protocol (``kind``), address and credentials.

    Time limits are seconds: until the response headers, between two chunks, and for the whole answer.
    """

    name: str
    kind: Literal["openai", "gigachat", "anthropic", "demo"]
    base_url: str = ""
    chat_url: str = ""
    """The full chat-completions address, for an upstream given as one (``URL_GPT``); empty: below ``base_url``."""
    api_key: str = field(default="", repr=False)
    scope: str = ""
    """Of GigaChat: what the key is for, private use or a company's."""
    auth_url: str = ""
    """Of GigaChat: where tokens are handed out for the key."""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    ca_bundle: str = ""
    max_concurrency: int = 0
    """Requests under way at once for this credential; 0 means no limit."""
    connect_timeout: float = 10.0
    header_timeout: float = 120.0
    chunk_timeout: float = 60.0
    total_timeout: float = 600.0
    on_disconnect: Literal["cancel", "drain"] = "cancel"
    """What becomes of an answer whose client has left: cancelled, or read to its end (for an upstream that bills it
    whole anyway)."""


@dataclass(frozen=True, slots=True)
class Token:
    """What a provider gave us to show with every request until a moment (aware UTC)."""

    value: str = field(repr=False)
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Model:
    """What clients ask for by name: where it is served, how much it reads and what it costs.

    Prices are microcredits for 1000 tokens.
    """

    name: str
    provider: str
    upstream: str
    context_window: int = 8192
    """Tokens that the prompt and the answer share."""
    max_output: int = 1024
    """Tokens of the window kept free for the answer."""
    hold_output_default: int = 256
    """Tokens of output that are held for a request which does not say how many it may take."""
    input_price: int = 0
    output_price: int = 0
    cached_input_price: int | None = None
    aliases: tuple[str, ...] = ()
    fallbacks: tuple[str, ...] = ()
    kind: Literal["chat", "embedding"] = "chat"


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """A request to a provider in OpenAI's terms, which are the house's common language.

    ``messages`` are OpenAI message objects and ``options`` every other field of the request, known or not, so that
    nothing a client sent is dropped on the way to a compatible upstream.
    """

    model: str
    messages: Sequence[Json]
    options: Json = field(default_factory=dict)
    max_output: int = 1024
    """Tokens to allow the model where the options do not say, for a protocol that must be told."""


@dataclass(frozen=True, slots=True)
class Completion:
    """A whole answer: the text, and the provider's OpenAI-shaped body for doors that pass it on."""

    text: str
    """What choice 0 says."""
    model: str
    finish_reason: str
    usage: Usage
    body: Json
    written: str = ""
    """Everything the model wrote, in every choice (see ``Delta.written``)."""


class Delta(NamedTuple):
    """One chunk of a streamed answer, as it came and as it is understood.

    A tuple, because one is made for every token of every answer.
    """

    data: bytes
    """The chunk's JSON on one line, exactly as the upstream wrote it."""
    chunk: dict[str, Any]
    """The same, decoded."""
    text: str = ""
    """What choice 0 gains."""
    written: str = ""
    """What all choices gain that a model wrote: content, reasoning, refusals, names and arguments of tool calls."""
    finish_reason: str | None = None
    usage: Usage | None = None


@dataclass(frozen=True, slots=True)
class EmbeddingRequest:
    """A request for vectors in OpenAI's terms; ``options`` are all of its other fields, known or not."""

    model: str
    input: Any
    """A text, a list of texts, or tokens instead of texts."""
    options: Json = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Embeddings:
    """The provider's OpenAI-shaped body with the vectors, and what was read for them."""

    body: Json
    usage: Usage
