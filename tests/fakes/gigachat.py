"""A fake GigaChat on two real sockets over TLS: the host that hands out tokens, and the API that wants to see them.

    async with FakeGigaChat(private_ca.server) as gigachat:
        gigachat.api.script(refuse(500), answer("Привет"))      # one behaviour for each request, in order
        gigachat.tokens.script(refuse(429))                     # the same for requests for a token
        gigachat.revoke()                                       # no token holds any more

Both are strict about what the API reference asks for, and answer what is wrong as GigaChat does; that uses up no
behaviour. ``scripted_http`` has the behaviours that are about no service, ``openai_upstream`` those of event streams.
"""

import asyncio
import json
import re
import secrets
import ssl
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs
from uuid import UUID

from telefonist.types import ProviderConfig
from tests.fakes.openai_upstream import EVENT_STREAM, Piece, event, events
from tests.fakes.scripted_http import Behaviour, Ending, Exchange, Received, ScriptedServer, reply

CREATED = 1_760_434_636
MODEL = "GigaChat:2.0.28.2"
STATE = "0199e210-2f13-744c-8fe5-c9a19fe27db7"
TOKENS_A_SECOND = 10
LIFETIME = 1800.0

CHAT_FIELDS = frozenset(
    {
        "flags",
        "function_call",
        "function_ranker",
        "functions",
        "max_tokens",
        "messages",
        "model",
        "profanity_check",
        "reasoning_effort",
        "repetition_penalty",
        "response_format",
        "stop",
        "storage",
        "stream",
        "temperature",
        "top_p",
        "update_interval",
    }
)
MESSAGE_FIELDS = frozenset({"role", "content", "name", "function_call", "functions_state_id", "attachments"})


class FakeGigaChat:
    """Both hosts; ``config`` is a row for them, made with the bundle of whoever signed their certificate."""

    def __init__(self, tls: ssl.SSLContext) -> None:
        self.tokens = TokenHost(tls)
        self.api = Api(tls, self.tokens)
        self._stack = AsyncExitStack()

    def config(self, bundle: object, **changes: Any) -> ProviderConfig:
        row = {
            "chat_url": f"{self.api.address}/api/v1/chat/completions",
            "auth_url": f"{self.tokens.address}/api/v2/oauth",
            "api_key": self.tokens.credentials,
            "scope": self.tokens.scope,
            "ca_bundle": str(bundle),
            "max_concurrency": self.api.streams,
        }
        return ProviderConfig("fake", "gigachat", **{**row, **changes})

    def revoke(self) -> None:
        """Let every token that was handed out so far have expired."""
        self.tokens.issued = dict.fromkeys(self.tokens.issued, 0.0)

    async def __aenter__(self) -> Self:
        await self._stack.enter_async_context(self.tokens)
        await self._stack.enter_async_context(self.api)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.__aexit__(kind, error, trace)


class TokenHost(ScriptedServer):
    """``POST /api/v2/oauth``; ``issued`` tells until when (seconds since 1970) each token holds."""

    def __init__(self, tls: ssl.SSLContext) -> None:
        super().__init__(self._issue, tls)
        self.credentials = "b3VyLWlkOm91ci1zZWNyZXQ="
        self.scope = "GIGACHAT_API_PERS"
        self.lifetime = LIFETIME
        self.in_milliseconds = True
        self.issued: dict[str, float] = {}
        self._request_ids: set[str] = set()
        self._asked: deque[float] = deque(maxlen=TOKENS_A_SECOND + 1)

    def choose(self, request: Received) -> Behaviour:
        self._asked.append(time.monotonic())
        if len(self._asked) > TOKENS_A_SECOND and self._asked[-1] - self._asked[0] < 1:
            return refuse(429, "Too many requests")
        if (request.method, request.path) != ("POST", "/api/v2/oauth"):
            return refuse(404, "Not found")
        if not _is_uuid4(request.headers.get("rquid", "")) or request.headers["rquid"] in self._request_ids:
            return reply(_dump({"code": 1, "message": "RqUID is invalid"}), 400)
        self._request_ids.add(request.headers["rquid"])
        if request.headers.get("content-type") != "application/x-www-form-urlencoded":
            return reply(_dump({"code": 1, "message": "content type is invalid"}), 415)
        if request.headers.get("authorization") != f"Basic {self.credentials}":
            return reply(_dump({"code": 4, "message": "Can't decode 'Authorization' header"}), 401)
        form = parse_qs(request.body.decode(), strict_parsing=True) if request.body else {}
        if form.keys() != {"scope"}:
            return reply(_dump({"code": 5, "message": "scope is empty"}), 400)
        if form["scope"] != [self.scope]:
            return reply(_dump({"code": 7, "message": "scope from db not fully includes consumed scope"}), 400)
        return self.next_behaviour()

    async def _issue(self, exchange: Exchange) -> None:
        token = f"eyJjdHkiOiJKV1QifQ..{secrets.token_urlsafe(120)}"
        expires = time.time() + self.lifetime
        self.issued[token] = expires
        shown = int(expires * 1000) if self.in_milliseconds else int(expires)
        await exchange.reply(200, _dump({"access_token": token, "expires_at": shown}))


class Api(ScriptedServer):
    """``POST /api/v1/chat/completions`` and ``/embeddings``, for ``streams`` requests at once."""

    def __init__(self, tls: ssl.SSLContext, tokens: TokenHost) -> None:
        super().__init__(answer(), tls)
        self.streams = 1
        self._tokens = tokens

    def choose(self, request: Received) -> Behaviour:
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        if token not in self._tokens.issued:
            return refuse(401, "Unauthorized")
        if self._tokens.issued[token] <= time.time():
            return refuse(401, "Token has expired")
        if self.under_way >= self.streams:
            return refuse(429, "Too Many Requests")
        check = _CHECKS.get(request.path) if request.method == "POST" else None
        if check is None:
            return refuse(404, "Not found")
        if request.headers.get("content-type", "") != "application/json" or not isinstance(request.json, dict):
            return refuse(400, "Bad request")
        problem = check(request.json)
        return self.next_behaviour() if problem is None else refuse(422, f"Invalid params: {problem}")


def answer(
    text: str = "Привет! Чем помочь?",
    *,
    call: Mapping[str, Any] | None = None,
    state: str | None = STATE,
    finish_reason: str | None = None,
    cached: int = 0,
    pause: float = 0.0,
    **fields: Any,
) -> Behaviour:
    """Answer as GigaChat does, plain or streamed as asked; ``call`` is a ``function_call``, arguments as an object.

    Tokens are counted by words, ``cached`` of the prompt's apart; ``pause`` seconds pass before each streamed word.
    """
    reason = finish_reason or ("function_call" if call else "stop")
    called = {"function_call": dict(call), **({"functions_state_id": state} if state else {})} if call else {}

    async def behave(exchange: Exchange) -> None:
        asked = exchange.request.json
        usage = _counted(asked, text, cached)
        envelope = {"created": CREATED, "model": MODEL, "object": "chat.completion", **fields}
        said = "" if call else text
        if not asked.get("stream"):
            message = {"content": said, "role": "assistant", **called}
            choice = {"message": message, "index": 0, "finish_reason": reason}
            await exchange.reply(200, _dump({"choices": [choice], **envelope, "usage": usage}))
            return
        await exchange.head(200, EVENT_STREAM)
        deltas: list[dict[str, Any]] = [{"content": word} for word in re.findall(r"\S+\s*", said)]
        if called:
            deltas.append({"content": "", **called})
        if deltas:
            deltas[0] |= {"role": "assistant"}
        for delta in deltas:
            if pause:
                await asyncio.sleep(pause)
            await exchange.write(event({"choices": [{"delta": delta, "index": 0}], **envelope}))
        last = {"delta": {"content": ""}, "index": 0, "finish_reason": reason}
        await exchange.write(event({"choices": [last], **envelope, "usage": usage}))
        await exchange.write(b"data: [DONE]\n\n")
        await exchange.end()

    return behave


def stream_of(*pieces: Piece, ending: Ending = "end") -> Behaviour:
    """Stream exactly these pieces; nothing is added, not even ``[DONE]``."""
    return events(*pieces, ending=ending)


def chunk(text: str = "", *, finish_reason: str | None = None, **delta: Any) -> dict[str, Any]:
    """Make one chunk as GigaChat writes it."""
    choice: dict[str, Any] = {"delta": {"content": text, **delta}, "index": 0}
    if finish_reason:
        choice["finish_reason"] = finish_reason
    return {"choices": [choice], "created": CREATED, "model": MODEL, "object": "chat.completion"}


def embeddings() -> Behaviour:
    """Answer with a vector of four numbers for each text, and count its words."""

    async def behave(exchange: Exchange) -> None:
        asked = exchange.request.json
        data = [
            {
                "object": "embedding",
                "embedding": [1.0, 0.5, -0.25, 0.0],
                "index": index,
                "usage": {"prompt_tokens": len(text.split())},
            }
            for index, text in enumerate(asked["input"])
        ]
        await exchange.reply(200, _dump({"object": "list", "data": data, "model": asked["model"]}))

    return behave


def refuse(status: int, message: str = "Something is wrong", *, headers: Mapping[str, str] | None = None) -> Behaviour:
    """Refuse in GigaChat's error shape."""
    return reply(_dump({"status": status, "message": message}), status, headers=headers)


def chat_problem(body: Mapping[str, Any]) -> str | None:
    """Say what GigaChat would refuse about a request; None where it would not."""
    if unknown := body.keys() - CHAT_FIELDS:
        return f"unknown fields {sorted(unknown)}"
    if not isinstance(body.get("model"), str) or not isinstance(body.get("stream"), bool):
        return "model or stream is missing"
    temperature = body.get("temperature")
    if temperature is not None and not temperature > 0:
        return "temperature must be in range (0, +inf)"
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        return "messages must not be empty"
    return _order_problem(messages) or _functions_problem(body)


def _order_problem(messages: Sequence[Mapping[str, Any]]) -> str | None:
    before: Mapping[str, Any] = {}
    for position, message in enumerate(messages):
        role, call = message.get("role"), message.get("function_call")
        if unknown := message.keys() - MESSAGE_FIELDS:
            return f"message {position} has unknown fields {sorted(unknown)}"
        if role not in ("system", "user", "assistant", "function") or not isinstance(message.get("content"), str):
            return f"message {position} has no valid role, or no content"
        if role == "system" and position:
            return "system message must be the first message"
        if call is not None and (role != "assistant" or not isinstance(call.get("arguments"), dict)):
            return "function_call.arguments must be an object"
        if role == "function":
            if (before.get("function_call") or {}).get("name") != message.get("name"):
                return "function message must follow its function_call"
            if not isinstance(_decoded(message["content"]), dict):
                return "content of a function message must be a JSON object"
        before = message
    return None


def _functions_problem(body: Mapping[str, Any]) -> str | None:
    functions = body.get("functions") or []
    for function in functions:
        if unknown := function.keys() - {"name", "description", "parameters", "few_shot_examples", "return_parameters"}:
            return f"a function has unknown fields {sorted(unknown)}"
        parameters = function.get("parameters")
        if not isinstance(parameters, dict) or not isinstance(parameters.get("properties"), dict):
            return "functions.parameters.properties is missing"
    choice = body.get("function_call")
    if isinstance(choice, dict) and choice.get("name") not in [function.get("name") for function in functions]:
        return "function_call names no function"
    return None if choice is None or isinstance(choice, dict) or choice in ("auto", "none") else "function_call"


def _embedding_problem(body: Mapping[str, Any]) -> str | None:
    given = body.get("input")
    if body.keys() != {"model", "input"} or not isinstance(given, list) or not given:
        return "model and input are needed, and nothing else"
    return None if all(isinstance(text, str) for text in given) else "input must be texts"


_CHECKS: Mapping[str, Callable[[Mapping[str, Any]], str | None]] = {
    "/api/v1/chat/completions": chat_problem,
    "/api/v1/embeddings": _embedding_problem,
}


def _counted(asked: Mapping[str, Any], text: str, cached: int) -> dict[str, int]:
    prompt = sum(len(message["content"].split()) for message in asked["messages"])
    written = len(text.split())
    return {
        "prompt_tokens": prompt,
        "completion_tokens": written,
        "total_tokens": prompt + written,
        "precached_prompt_tokens": cached,
    }


def _is_uuid4(value: str) -> bool:
    try:
        return UUID(value).version == 4 and str(UUID(value)) == value.lower()
    except ValueError:
        return False


def _decoded(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None


def _dump(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
