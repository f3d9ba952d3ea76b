"""Models, their providers, and what is said to them and by them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

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
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    ca_bundle: str = ""
    max_concurrency: int = 0
    """Requests under way at once for this credential; 0 means no limit."""
    connect_timeout: float = 10.0
    header_timeout: float = 120.0
    chunk_timeout: float = 60.0
    total_timeout: float = 600.0


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
    input_price: int = 0
    output_price: int = 0
    cached_input_price: int | None = None
    aliases: tuple[str, ...] = ()
    fallbacks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """A request to a provider in OpenAI's terms, which are the house's common language.

    ``messages`` are OpenAI message objects and ``options`` every other field of the request, known or not, so that
    nothing a client sent is dropped on the way to a compatible upstream.
    """

    model: str
    messages: Sequence[Json]
    options: Json = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Completion:
    """A whole answer: the text, and the provider's OpenAI-shaped body for doors that pass it on."""

    text: str
    model: str
    finish_reason: str
    usage: Usage
    body: Json


@dataclass(frozen=True, slots=True)
class Delta:
    """One piece of a streamed answer: the text it adds and the OpenAI-shaped chunk it came in.

    ``usage`` and ``finish_reason`` are set on the chunk that carries them.
    """

    text: str
    chunk: Json
    finish_reason: str | None = None
    usage: Usage | None = None
