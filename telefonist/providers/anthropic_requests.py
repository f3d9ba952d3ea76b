"""What a request in OpenAI's terms says to Anthropic's Messages API; pure functions, no I/O.

Source: Claude API reference, "Create a Message", and its guides on tool use, vision and structured outputs.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NoReturn

import orjson

from telefonist.errors import ProviderRejectedRequest
from telefonist.providers.openai_text import plain_text
from telefonist.types import ChatRequest, Json

_NO_COUNTERPART = frozenset(
    {
        "frequency_penalty",
        "logit_bias",
        "logprobs",
        "max_completion_tokens",
        "metadata",
        "modalities",
        "n",
        "parallel_tool_calls",
        "prediction",
        "presence_penalty",
        "prompt_cache_key",
        "prompt_cache_retention",
        "reasoning_effort",
        "response_format",
        "safety_identifier",
        "seed",
        "service_tier",
        "stop",
        "store",
        "stream_options",
        "tool_choice",
        "tools",
        "top_logprobs",
        "user",
        "verbosity",
        "web_search_options",
    }
)
"""What is not sent on under its OpenAI name: it has another there, or, as docs/anthropic.md lists, none at all."""

_HOTTEST = 1.0
"""The highest temperature there is; OpenAI's go up to 2."""

_DATA_URL = re.compile(r"data:([\w.+-]+/[\w.+-]+);base64,(.+)", re.DOTALL)
_NOT_IN_AN_ID = re.compile(r"[^A-Za-z0-9_-]")

Block = dict[str, Any]


def request_body(provider: str, request: ChatRequest, *, stream: bool) -> dict[str, Any]:
    """Put a request together; fields that OpenAI does not know, such as ``thinking``, go along untouched.

    Raises ProviderRejectedRequest for what has no counterpart there, and the answer would be another without.
    """
    options = request.options
    if (options.get("n") or 1) != 1:
        reject(provider, "Anthropic gives one answer to a request: n must be 1")
    if options.get("logprobs"):
        reject(provider, "Anthropic tells no logprobs: leave them out")
    if options.get("functions"):
        reject(provider, "Anthropic is asked with tools: offer them in place of functions")
    body = {name: value for name, value in options.items() if name not in _NO_COUNTERPART and value is not None}
    body["max_tokens"] = options.get("max_completion_tokens") or options.get("max_tokens") or request.max_output
    if isinstance(body.get("temperature"), int | float):
        body["temperature"] = min(body["temperature"], _HOTTEST)
    if stop := options.get("stop"):
        body["stop_sequences"] = [stop] if isinstance(stop, str) else stop
    if user := options.get("user"):
        body["metadata"] = {"user_id": user}
    body |= _output_config(provider, options)
    body |= _tools(provider, options)
    system, messages = _conversation(provider, request.messages)
    if system:
        body["system"] = system
    return {**body, "model": request.model, "messages": messages, "stream": stream}


def reject(provider: str, reason: str) -> NoReturn:
    raise ProviderRejectedRequest(provider, status=400, reason=reason)


def _output_config(provider: str, options: Json) -> dict[str, Any]:
    """Ask for an answer of a certain form, which is known by its schema only, and for a certain effort."""
    given = options.get("output_config") or {}
    if not isinstance(given, Mapping):
        reject(provider, "output_config must be an object")
    said = dict(given)
    if effort := options.get("reasoning_effort"):
        said["effort"] = "low" if effort in ("none", "minimal") else effort
    wanted = options.get("response_format")
    if isinstance(wanted, Mapping) and wanted.get("type") != "text":
        form = wanted.get("json_schema")
        if wanted.get("type") != "json_schema" or not isinstance(form, Mapping) or not form.get("schema"):
            reject(provider, "Anthropic knows a response_format of type text, or of type json_schema with its schema")
        said["format"] = {"type": "json_schema", "schema": form["schema"]}
    return {"output_config": said} if said else {}


def _tools(provider: str, options: Json) -> dict[str, Any]:
    offered = options.get("tools")
    if not offered:
        return {}
    if not isinstance(offered, list):
        reject(provider, "tools must be a list")
    said: dict[str, Any] = {"tools": [_tool(provider, tool) for tool in offered]}
    choice = _choice(provider, options.get("tool_choice"))
    if options.get("parallel_tool_calls") is False and choice.get("type") != "none":
        choice = {"type": "auto", **choice, "disable_parallel_tool_use": True}
    return {**said, "tool_choice": choice} if choice else said


def _tool(provider: str, tool: object) -> Block:
    """Take a function over; what is no function is taken for one of Anthropic's own tools."""
    if not isinstance(tool, Mapping) or tool.get("type") == "custom":
        reject(provider, "Anthropic knows no tools of type custom")
    if tool.get("type", "function") != "function":
        return dict(tool)
    function = tool.get("function")
    if not isinstance(function, Mapping) or not isinstance(function.get("name"), str):
        reject(provider, "a function without a name")
    taken = {name: function[name] for name in ("name", "description", "strict") if function.get(name)}
    parameters = function.get("parameters") or {}
    if not isinstance(parameters, Mapping):
        reject(provider, "a function whose parameters are no JSON schema")
    return {**taken, "input_schema": {"type": "object", **parameters}, **_cached(tool)}


def _choice(provider: str, choice: object) -> dict[str, Any]:
    if choice is None:
        return {}
    kinds = {"auto": "auto", "none": "none", "required": "any"}
    if isinstance(choice, str) and choice in kinds:
        return {"type": kinds[choice]}
    function = choice.get("function") if isinstance(choice, Mapping) else None
    if isinstance(function, Mapping) and isinstance(function.get("name"), str):
        return {"type": "tool", "name": function["name"]}
    reject(provider, "a tool_choice that is neither auto, none, required nor the name of a function")


def _conversation(provider: str, messages: Sequence[Json]) -> tuple[list[Block], list[dict[str, Any]]]:
    """Lift the system prompts out, and let the two sides take turns.

    What tools returned is said by the user; results that answer one message must come in one, before anything else.
    """
    system: list[Block] = []
    turns: list[dict[str, Any]] = []
    for message in messages:
        match message.get("role"):
            case "system" | "developer":
                system += _texts(provider, message)
                continue
            case "user":
                role, said = "user", list(_parts(provider, message.get("content")))
            case "assistant":
                role, said = "assistant", [*_thoughts(message), *_texts(provider, message), *_calls(provider, message)]
            case "tool":
                role, said = "user", [_result(provider, message)]
            case other:
                reject(provider, f"Anthropic knows no messages of role {str(other)[:50]!r}")
        if not said:
            continue  # an empty turn would be refused, and says nothing
        if turns and turns[-1]["role"] == role:
            turns[-1]["content"] += said
        else:
            turns.append({"role": role, "content": said})
    return system, turns


def _texts(provider: str, message: Json) -> list[Block]:
    """Give what a message says in words; an earlier refusal is one too."""
    said = [*_parts(provider, message.get("content")), *_parts(provider, message.get("refusal"))]
    if any(block["type"] != "text" for block in said):
        reject(provider, f"Anthropic takes pictures and files from the user only, not in role {message.get('role')}")
    return said


def _parts(provider: str, content: object) -> Iterator[Block]:
    """Give the blocks of a content; empty texts, which would be refused, are left out."""
    if isinstance(content, str):
        content = [{"type": "text", "text": content}]
    for part in content if isinstance(content, list) else ():
        if not isinstance(part, Mapping):
            reject(provider, "a part of a message that is not an object")
        match part.get("type"):
            case "text" | "refusal":
                if text := plain_text(part.get("text") or part.get("refusal")):
                    yield {"type": "text", "text": text, **_cached(part)}
            case "image_url":
                picture = part.get("image_url")
                url = picture.get("url") if isinstance(picture, Mapping) else picture
                yield {"type": "image", "source": _source(provider, url), **_cached(part)}
            case "file":
                file = part.get("file")
                data = file.get("file_data") if isinstance(file, Mapping) else None
                yield {"type": "document", "source": _source(provider, data), **_cached(part)}
            case kind:
                reject(provider, f"Anthropic takes no {str(kind)[:50]} in a message")


def _source(provider: str, url: object) -> Block:
    if isinstance(url, str):
        if data := _DATA_URL.fullmatch(url):
            return {"type": "base64", "media_type": data[1].lower(), "data": data[2]}
        if url.startswith(("https://", "http://")):
            return {"type": "url", "url": url}
    reject(provider, "a picture or file that is neither an http(s) URL nor a data URL in base64")


def _thoughts(message: Json) -> list[Block]:
    """Give the model's own thoughts back, which it signed: they must stand before the calls that came of them."""
    thoughts = message.get("thinking_blocks")
    return [dict(block) for block in thoughts if isinstance(block, Mapping)] if isinstance(thoughts, list) else []


def _calls(provider: str, message: Json) -> Iterator[Block]:
    calls = message.get("tool_calls") or ()
    if not isinstance(calls, Sequence):
        reject(provider, "tool_calls must be a list")
    for call in calls:
        function = call.get("function") if isinstance(call, Mapping) else None
        if not isinstance(function, Mapping) or not isinstance(function.get("name"), str):
            reject(provider, "a tool call without the name of a function")
        try:
            arguments = orjson.loads(function.get("arguments") or "{}")
        except (orjson.JSONDecodeError, TypeError):
            arguments = None
        if not isinstance(arguments, dict):
            reject(provider, f"the arguments of a call to {function['name'][:100]} that are not a JSON object")
        yield {"type": "tool_use", "id": _id(call.get("id")), "name": function["name"], "input": arguments}


def _result(provider: str, message: Json) -> Block:
    said = list(_parts(provider, message.get("content")))
    return {
        "type": "tool_result",
        "tool_use_id": _id(message.get("tool_call_id")),
        **({"content": said} if said else {}),
        **_cached(message),
    }


def _id(value: object) -> str:
    """Write the id of a call as it must be there; another model may have made it."""
    return _NOT_IN_AN_ID.sub("_", str(value or ""))


def _cached(part: Json) -> dict[str, Any]:
    """Keep the mark up to which a prompt is to be cached, which clients of Anthropic's models set on OpenAI's parts."""
    return {"cache_control": part["cache_control"]} if part.get("cache_control") else {}
