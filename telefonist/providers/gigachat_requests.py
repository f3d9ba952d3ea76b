"""What a request in OpenAI's terms says to GigaChat; pure functions, no I/O.

Source: GigaChat API reference, "POST /chat/completions", and for what it leaves open (``response_format``, ``flags``
and the rest of its own fields) the vendor's SDK, ai-forever/gigachat.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NoReturn

import orjson

from telefonist.errors import ProviderRejectedRequest
from telefonist.providers.gigachat_calls import Call, calls_of, state_in
from telefonist.providers.openai_text import plain_text
from telefonist.types import ChatRequest, EmbeddingRequest, Json

_NO_COUNTERPART = frozenset(
    {
        "frequency_penalty",
        "function_call",
        "functions",
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
        "response_format",
        "safety_identifier",
        "seed",
        "service_tier",
        "store",
        "stream",
        "stream_options",
        "tool_choice",
        "tools",
        "top_logprobs",
        "user",
        "verbosity",
        "web_search_options",
    }
)
"""What is not sent on under its OpenAI name: it has another there, or, as docs/gigachat.md lists, none at all."""

_COLDEST = 0.0005
"""What a temperature of 0 becomes, which is refused; up to 0.001 the answer is the most likely one."""

_ONE_TEXT = "\n\n"
"""What stands between system prompts that become one."""


def request_body(provider: str, request: ChatRequest, *, stream: bool) -> dict[str, Any]:
    """Put a chat request together; fields that OpenAI does not know go along untouched.

    Raises ProviderRejectedRequest for what GigaChat has no counterpart for, and the answer would be another without.
    """
    options = request.options
    if (options.get("n") or 1) != 1:
        reject(provider, "GigaChat gives one answer to a request: n must be 1")
    if options.get("logprobs"):
        reject(provider, "GigaChat tells no logprobs: leave them out")
    body = {name: value for name, value in options.items() if name not in _NO_COUNTERPART and value is not None}
    body |= _functions(provider, options)
    body |= _response_format(provider, options.get("response_format"))
    limit = options.get("max_completion_tokens")
    if limit is not None:
        body["max_tokens"] = limit
    if body.get("temperature") == 0:
        body["temperature"] = _COLDEST
    return {**body, "model": request.model, "messages": _messages(provider, request.messages), "stream": stream}


def embedding_body(provider: str, request: EmbeddingRequest) -> dict[str, Any]:
    """Put a request for vectors together; raises ProviderRejectedRequest for tokens in place of texts."""
    given = request.input if isinstance(request.input, list) else [request.input]
    if not given or not all(isinstance(text, str) for text in given):
        reject(provider, "GigaChat makes embeddings of texts: input must be a text or a list of texts")
    if request.options.get("dimensions") is not None:
        reject(provider, "GigaChat cannot shorten embeddings: leave out dimensions")
    return {"model": request.model, "input": given}


def reject(provider: str, reason: str) -> NoReturn:
    raise ProviderRejectedRequest(provider, status=400, reason=reason)


def _functions(provider: str, options: Json) -> dict[str, Any]:
    """Say which functions there are, and whether one must be called.

    GigaChat calls none unless it is told ``auto``, which is what OpenAI does unless told otherwise.
    """
    offered = options.get("tools")
    if not all(isinstance(given, list | None) for given in (offered, options.get("functions"))):
        reject(provider, "tools must be a list")
    if offered:
        functions = [_offered(provider, tool) for tool in offered]
        choice: object = _choice(provider, options.get("tool_choice"), functions)
    else:
        functions = [_function(provider, function) for function in options.get("functions") or ()]
        choice = options.get("function_call") or ("auto" if functions else None)
    said = {"functions": functions or None, "function_call": choice}
    return {name: value for name, value in said.items() if value is not None}


def _offered(provider: str, tool: object) -> dict[str, Any]:
    if not isinstance(tool, Mapping) or tool.get("type", "function") != "function":
        reject(provider, "GigaChat knows only tools of type function")
    return _function(provider, tool.get("function"))


def _function(provider: str, function: object) -> dict[str, Any]:
    """Take a function over; ``strict`` has no counterpart, and parameters are compulsory here."""
    if not isinstance(function, Mapping) or not isinstance(function.get("name"), str):
        reject(provider, "a function without a name")
    taken = {name: value for name, value in function.items() if name != "strict"}
    parameters = taken.get("parameters") or {}
    if not isinstance(parameters, Mapping):
        reject(provider, "a function whose parameters are no JSON schema")
    return {**taken, "parameters": {"type": "object", "properties": {}, **parameters}}


def _choice(provider: str, choice: object, functions: Sequence[Json]) -> str | dict[str, str]:
    if choice is None:
        return "auto"
    if choice in ("auto", "none"):
        return str(choice)
    if choice == "required" and len(functions) == 1:
        return {"name": functions[0]["name"]}
    function = choice.get("function") if isinstance(choice, Mapping) else None
    if isinstance(function, Mapping) and isinstance(function.get("name"), str):
        return {"name": function["name"]}
    reject(provider, "GigaChat calls a certain function or whichever it likes: tool_choice must name one, or be auto")


def _response_format(provider: str, wanted: object) -> dict[str, Any]:
    """Ask for an answer of a certain form, which GigaChat takes as a schema only."""
    if not isinstance(wanted, Mapping) or wanted.get("type") == "text":
        return {}
    schema = wanted.get("json_schema")
    if wanted.get("type") != "json_schema" or not isinstance(schema, Mapping):
        reject(provider, "GigaChat knows a response_format of type text or json_schema only")
    form = {name: schema[name] for name in ("schema", "strict") if schema.get(name) is not None}
    return {"response_format": {"type": "json_schema", **form}}


def _messages(provider: str, messages: Sequence[Json]) -> list[dict[str, Any]]:
    """Put the messages in the order that GigaChat takes: one system prompt, first, and a result right after its call.

    Several system prompts, wherever they stood, become one; otherwise the whole request would be refused.
    """
    system = [_text(provider, message) for message in messages if message.get("role") in ("system", "developer")]
    rest = [message for message in messages if message.get("role") not in ("system", "developer")]
    prompt = _ONE_TEXT.join(text for text in system if text)
    return [*([{"role": "system", "content": prompt}] if prompt else ()), *_dialog(provider, rest)]


def _dialog(provider: str, messages: Sequence[Json]) -> Iterator[dict[str, Any]]:
    position = 0
    while position < len(messages):
        message = messages[position]
        position += 1
        match message.get("role"):
            case "user":
                yield {"role": "user", "content": _text(provider, message), **_kept(message, "attachments")}
            case "assistant":
                calls = calls_of(provider, message)
                first = position
                while position < len(messages) and messages[position].get("role") == "tool":
                    position += 1
                yield from _answer(provider, message, calls, messages[first:position])
            case "function":
                yield _result(provider, str(message.get("name") or ""), message)
            case "tool":
                reject(provider, "a message of role tool that does not follow its tool call")
            case role:
                reject(provider, f"GigaChat knows no messages of role {str(role)[:50]!r}")


def _answer(provider: str, message: Json, calls: Sequence[Call], results: Sequence[Json]) -> Iterator[dict[str, Any]]:
    """Give an earlier answer: calls that were made at once become one after another, each before its result."""
    said = {"role": "assistant", "content": _text(provider, message) or plain_text(message.get("refusal"))}
    said |= _kept(message, "attachments")
    waiting = {str(result.get("tool_call_id")): result for result in results}
    if not calls:
        yield {**said, **_kept(message, "functions_state_id")}
    for call in calls:
        state = state_in(call.id) or message.get("functions_state_id")
        asked = {**said, "function_call": {"name": call.name, "arguments": call.arguments}}
        yield {**asked, "functions_state_id": state} if state else asked
        said = {"role": "assistant", "content": ""}
        result = waiting.pop(call.id, None)
        if result is not None:
            yield _result(provider, call.name, result)
    if waiting:
        reject(provider, "a message of role tool whose tool_call_id belongs to no call before it")


def _result(provider: str, name: str, message: Json) -> dict[str, Any]:
    """Give what a function returned: GigaChat takes JSON objects only, written as a text."""
    text = _text(provider, message)
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        value = text
    if not isinstance(value, dict):
        text = orjson.dumps({"result": value}).decode()
    return {"role": "function", "name": name, "content": text}


def _text(provider: str, message: Json) -> str:
    """Give the text of a message; raises ProviderRejectedRequest for pictures and sound in it."""
    content = message.get("content")
    if not isinstance(content, list):
        return plain_text(content)
    for part in content:
        kind = part.get("type") if isinstance(part, Mapping) else None
        if kind not in ("text", "refusal"):
            reject(
                provider,
                f"GigaChat takes no {str(kind)[:50]} in a message: upload it as a file there, "
                "and name its id in the message's attachments",
            )
    return "\n".join(plain_text(part.get("text") or part.get("refusal")) for part in content)


def _kept(message: Json, field: str) -> dict[str, Any]:
    return {field: message[field]} if message.get(field) else {}
