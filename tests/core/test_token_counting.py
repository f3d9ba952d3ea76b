"""Where the provider counted nothing we count: as OpenAI does, without the network, and without holding others up."""

import asyncio
import gzip
import hashlib
import subprocess
import sys
import threading
from collections.abc import Callable
from importlib.resources import files
from typing import Any

import pytest
from tiktoken import model as models_of_tiktoken
from tiktoken_ext import openai_public  # type: ignore[import-untyped]

from telefonist.core import tokenizers
from telefonist.core.token_counting import counted_usage
from telefonist.core.tokenizers import PIECE, count_tokens, vocabulary_of
from telefonist.types import Json, Usage, estimate_tokens

COOKBOOK: list[Json] = [
    {
        "role": "system",
        "content": "You are a helpful, pattern-following assistant that translates corporate jargon into plain "
        "English.",
    },
    {"role": "system", "name": "example_user", "content": "New synergies will help drive top-line growth."},
    {"role": "system", "name": "example_assistant", "content": "Things working well together will increase revenue."},
    {
        "role": "system",
        "name": "example_user",
        "content": "Let's circle back when we have more bandwidth to touch base on opportunities for increased "
        "leverage.",
    },
    {
        "role": "system",
        "name": "example_assistant",
        "content": "Let's talk later when we're less busy about how to do better.",
    },
    {
        "role": "user",
        "content": "This late pivot means we don't have time to boil the ocean for the client deliverable.",
    },
]
"""The conversation that OpenAI's Cookbook counts, and checks against its API."""


@pytest.fixture
def nothing_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokenizers, "_counters", {})


@pytest.mark.parametrize(("model", "tokens"), [("gpt-4", 129), ("gpt-3.5-turbo", 129), ("gpt-4o-mini", 124)])
async def test_a_conversation_is_counted_as_openai_counts_it(model: str, tokens: int) -> None:
    assert await counted_usage(model, COOKBOOK, {}, "") == Usage(tokens, 0, estimated=True)


@pytest.mark.parametrize(
    ("text", "model", "tokens"),
    [
        ("antidisestablishmentarianism", "gpt-4", 6),
        ("antidisestablishmentarianism", "gpt-4o", 6),
        ("2 + 2 = 4", "gpt-4", 7),
        ("2 + 2 = 4", "gpt-4o", 7),
        ("お誕生日おめでとう", "gpt-4", 9),
        ("お誕生日おめでとう", "gpt-4o", 8),
        ("<|endoftext|>", "gpt-4o", 7),
        ("", "gpt-4o", 0),
    ],
)
async def test_what_was_written_is_counted_as_openai_counts_it(text: str, model: str, tokens: int) -> None:
    assert (await counted_usage(model, [], {}, text)).completion_tokens == tokens


@pytest.mark.parametrize(
    ("vocabulary", "published"),
    [("o200k_base", openai_public.o200k_base), ("cl100k_base", openai_public.cl100k_base)],
)
def test_the_vocabularies_are_those_that_openai_publishes(
    vocabulary: str, published: Callable[[], dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    digests: list[str] = []

    def instead_of_downloading(address: str, expected_hash: str) -> dict[bytes, int]:
        digests.append(expected_hash)
        return {}

    monkeypatch.setattr(openai_public, "load_tiktoken_bpe", instead_of_downloading)
    pattern = published()["pat_str"]
    packed = files("telefonist.core").joinpath("vocabularies", f"{vocabulary}.tiktoken.gz").read_bytes()
    assert [hashlib.sha256(gzip.decompress(packed)).hexdigest()] == digests
    assert "|".join(tokenizers._SPLITTING[vocabulary]) == pattern


@pytest.mark.parametrize("prefix", ["", "openai/"])
def test_every_model_of_openai_is_counted_with_its_own_vocabulary(prefix: str) -> None:
    known = dict(models_of_tiktoken.MODEL_TO_ENCODING)
    known |= {name + "2026-01-01": kind for name, kind in models_of_tiktoken.MODEL_PREFIX_TO_ENCODING.items()}
    ours = {name: kind for name, kind in known.items() if kind in ("o200k_base", "cl100k_base")}
    ours = {name: kind for name, kind in ours.items() if "davinci" not in name and "babbage" not in name}
    assert len(ours) > 20
    assert {name: vocabulary_of(prefix + name) for name in ours} == ours


@pytest.mark.parametrize("model", ["google/gemini-2.5-flash", "mistralai/mistral-7b-instruct:free", "GigaChat-2", ""])
def test_models_of_other_makers_are_counted_with_the_newest_vocabulary(model: str) -> None:
    assert vocabulary_of(model) == "o200k_base"


async def test_tools_pictures_sounds_and_calls_count_too() -> None:
    async def prompt(content: Any, options: Json | None = None, **fields: Any) -> int:
        message = {"role": "user", "content": content, **fields}
        return (await counted_usage("gpt-4o", [message], options or {}, "")).prompt_tokens

    text = {"type": "text", "text": "Hello"}
    plain = await prompt("Hello")
    assert await prompt([text]) == plain
    assert await prompt([text, {"type": "image_url", "image_url": {"url": "data:" + "x" * 99_000}}]) == plain + 765
    assert await prompt([text, {"type": "input_audio", "input_audio": {"data": "x"}}]) == plain + 600
    assert await prompt([text, {"type": "file", "file": {"file_id": "1"}}]) == plain + 1500
    assert await prompt("Hello", {"tools": [{"type": "function", "function": {"name": "weather"}}]}) > plain + 10
    assert await prompt("Hello", {"temperature": 1, "user": "x" * 100}) == plain
    calls = [{"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Moscow"}'}}]
    assert await prompt("Hello", tool_calls=calls) > plain + 5


@pytest.mark.parametrize("text", [" " * 1_000_000, "a" * 300_000, "^" * 300_000, "маяк " * 50_000, "\ud800" * 10])
async def test_no_text_is_too_long_or_too_odd(text: str) -> None:
    assert 0 < (await counted_usage("gpt-4o", [], {}, text)).completion_tokens <= len(text) * 3


def test_cutting_a_long_text_changes_its_count_by_little() -> None:
    sentence = "The keeper of the lighthouse wrote everything down, день за днём. "
    text = sentence * (5 * PIECE // len(sentence))
    cuts = len(text) // PIECE
    assert abs(count_tokens(text, "o200k_base") - tokenizers._counters["o200k_base"](text)) <= 2 * cuts


@pytest.mark.usefixtures("nothing_loaded")
async def test_others_go_on_while_the_tokenizer_is_loaded_and_a_long_text_is_counted() -> None:
    counting = asyncio.create_task(counted_usage("gpt-4o", [], {}, "маяк " * 100_000))
    steps = 0
    while not counting.done():
        await asyncio.sleep(0.001)
        steps += 1
    assert (await counting).completion_tokens > 100_000
    assert steps > 5


@pytest.mark.usefixtures("nothing_loaded")
async def test_a_tokenizer_is_loaded_once_however_many_need_it_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    loads: list[str] = []
    load = tokenizers._counter

    def watched(vocabulary: str) -> Callable[[str], int]:
        loads.append(vocabulary)
        return load(vocabulary)

    monkeypatch.setattr(tokenizers, "_counter", watched)
    usages = await asyncio.gather(*(counted_usage("gpt-4o", [], {}, "Hello") for _ in range(20)))
    assert {usage.completion_tokens for usage in usages} == {1}
    assert loads == ["o200k_base"]


@pytest.mark.usefixtures("nothing_loaded")
async def test_a_short_text_needs_no_thread_once_the_tokenizer_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    await counted_usage("gpt-4o", [], {}, "Hello")
    threads: list[threading.Thread] = []
    count = tokenizers._counters["o200k_base"]

    def watched(text: str) -> int:
        threads.append(threading.current_thread())
        return count(text)

    monkeypatch.setitem(tokenizers._counters, "o200k_base", watched)
    await counted_usage("gpt-4o", [], {}, "Hello")
    await counted_usage("gpt-4o", [], {}, "Hello " * PIECE)
    assert threads[0] is threading.main_thread()
    assert threading.main_thread() not in threads[1:]


@pytest.mark.usefixtures("nothing_loaded")
async def test_without_a_tokenizer_bytes_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tiktoken", None)
    usage = await counted_usage("gpt-4o", [{"role": "user", "content": "Привет"}], {}, "Маяк у моря")
    assert usage == Usage(estimate_tokens("Привет") + 4 + 3, estimate_tokens("Маяк у моря"), estimated=True)


def test_nothing_is_loaded_at_the_start_and_nothing_downloaded_ever() -> None:
    script = """
import socket, sys
def refuse(*given, **named):
    raise AssertionError("the network was asked for")
socket.socket.connect = socket.getaddrinfo = socket.create_connection = refuse
import telefonist.app
assert "tiktoken" not in sys.modules
from telefonist.core.tokenizers import count_tokens
assert count_tokens("Hello there", "o200k_base") == count_tokens("Hello there", "cl100k_base") == 2
assert "requests" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)
