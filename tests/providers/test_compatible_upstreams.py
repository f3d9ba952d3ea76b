"""Upstreams that speak OpenAI's protocol are a row each: those of the example file ask what they should."""

import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from telefonist.memory.local import LocalTokens
from telefonist.memory.local_quotas import LocalSlots
from telefonist.providers.registry import build_provider, new_session
from telefonist.settings import load_settings
from telefonist.types import ProviderConfig
from tests.fakes.openai_upstream import answer
from tests.fakes.scripted_http import ScriptedServer
from tests.providers.asking import ask, stream, text_of

EXAMPLE = (Path(__file__).parents[2] / "telefonist.example.toml").read_text(encoding="utf-8")
MODEL = "[[models]]\nname = 'any'\nprovider = '{}'"

UPSTREAMS: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "openrouter": (
        "https://openrouter.ai/api/v1/chat/completions",
        {"authorization": "Bearer OPENROUTER_API_KEY's", "x-title": "Telefonist"},
    ),
    "bothub": (
        "https://bothub.chat/api/v2/openai/v1/chat/completions",
        {"authorization": "Bearer BOTHUB_API_KEY's"},
    ),
    "deepseek": ("https://api.deepseek.com/v1/chat/completions", {"authorization": "Bearer DEEPSEEK_API_KEY's"}),
    "yandexgpt": ("https://llm.api.cloud.yandex.net/v1/chat/completions", {"authorization": "Bearer YANDEX_API_KEY's"}),
    "groq": ("https://api.groq.com/openai/v1/chat/completions", {"authorization": "Bearer GROQ_API_KEY's"}),
    "ollama": ("http://localhost:11434/v1/chat/completions", {}),
    "vllm": ("http://localhost:8000/v1/chat/completions", {}),
}
"""What each row of the example file asks, and the headers that it shows beside those that all show."""


@pytest.fixture
async def server() -> AsyncIterator[ScriptedServer]:
    """Give a server that answers at every path."""
    async with ScriptedServer(answer("Hello")) as server:
        yield server


def row_of(name: str, folder: Path) -> ProviderConfig:
    """Load the settings with one row of the example file switched on."""
    rows = re.split(r"\n\s*\n", re.sub(r"^#(?=\S)", "", EXAMPLE, flags=re.MULTILINE))
    (row,) = [row for row in rows if "[[providers]]" in row and f'\nname = "{name}"' in row]
    (folder / "telefonist.toml").write_text(f"{row}\n{MODEL.format(name)}", encoding="utf-8")
    keys = {key: f"{key}'s" for key in re.findall(r"env:(\w+)", row)}
    settings = load_settings(keys, folder)
    return next(provider for provider in settings.providers if provider.name == name)


@pytest.mark.parametrize("name", UPSTREAMS)
async def test_a_row_asks_the_address_of_its_upstream_and_shows_its_key(
    name: str, tmp_path: Path, server: ScriptedServer
) -> None:
    url, headers = UPSTREAMS[name]
    row = row_of(name, tmp_path)
    assert (row.kind, f"{row.base_url}/chat/completions") == ("openai", url)
    here = replace(row, base_url=server.address + urlsplit(row.base_url).path)
    async with new_session() as session:
        provider = build_provider(here, session, LocalTokens(), LocalSlots())
        assert (await provider.complete(ask())).text == "Hello"
        assert text_of(await stream(provider, ask())) == "Hello"
    for request in server.requests:
        assert (request.method, request.path) == ("POST", urlsplit(url).path)
        shown = {name: request.headers[name] for name in ("authorization", "x-title") if name in request.headers}
        assert shown == headers
