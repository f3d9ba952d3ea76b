"""The model API: what OpenAI's clients ask, answered as OpenAI answers.

Source: OpenAI API reference, "Chat completions", "Embeddings" and "Models".
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from fastapi import APIRouter, Request
from starlette.responses import Response

from telefonist.core.catalog import Catalog
from telefonist.core.generations import Generations, Wanted
from telefonist.core.prices import Prices
from telefonist.doors import openai_documents as documents
from telefonist.doors.answer_headers import answer_headers
from telefonist.doors.auth import NEEDS_ACCOUNT, Authentication
from telefonist.doors.client_watch import ClientWatch
from telefonist.doors.openai_requests import read_chat_call, read_embedding_call
from telefonist.doors.openai_stream import ChunkWriter, StreamedAnswer, usage_body
from telefonist.doors.thin import Endpoint
from telefonist.errors import AccessDenied, FieldProblem, InvalidInput
from telefonist.types import Caller, Door, Json, Model, format_credits

MODELS_CREATED = 1_700_000_000
"""What ``created`` of a model says, which clients want to be there: the upstreams' own dates are not known."""


@dataclass(frozen=True, slots=True)
class OpenAIDoor:
    """The endpoints; ``chat`` and ``embeddings`` are on the hot path (``ThinRoutes``)."""

    generations: Generations
    catalog: Catalog
    prices: Prices
    authentication: Authentication

    async def chat(self, request: Request) -> Response:
        """Answer ``POST /v1/chat/completions``, whole or as a stream."""
        caller = await self.authentication.caller(request)
        call = read_chat_call(request.state.body)
        wanted = Wanted(
            caller=caller,
            door=Door.API,
            model=self._model(call.model, "chat"),
            messages=call.messages,
            options=call.options,
            choices=call.choices,
            expected_output=call.expected_output,
        )
        if call.stream:
            async with ClientWatch(request.receive):
                stream = await self.generations.stream(wanted)
            writer = ChunkWriter(include_usage=call.include_usage)
            return StreamedAnswer(
                stream, writer, caller.language, answer_headers(stream.admission, wanted.model, stream.model)
            )
        async with ClientWatch(request.receive):
            completed = await self.generations.complete(wanted)
        body: Json = completed.answer.completion.body
        if completed.usage.estimated:
            body = {**body, "usage": usage_body(completed.usage)}
        return _json(body, answer_headers(completed.admission, wanted.model, completed.answer.model))

    async def embeddings(self, request: Request) -> Response:
        """Answer ``POST /v1/embeddings``."""
        caller = await self.authentication.caller(request)
        call = read_embedding_call(request.state.body)
        model = self._model(call.model, "embedding")
        async with ClientWatch(request.receive):
            embedded = await self.generations.embed(caller, Door.API, model, call.texts, call.options)
        return _json(embedded.embeddings.body, answer_headers(embedded.admission, model, embedded.model))

    async def models(self, request: Request) -> Response:
        """Answer ``GET /v1/models`` with what the caller may ask for."""
        caller = await self.authentication.caller(request)
        listed = [await self._described(model) for model in self.catalog.models if _may_use(caller, model)]
        return _json({"object": "list", "data": listed}, {})

    async def model(self, name: str, request: Request) -> Response:
        """Answer ``GET /v1/models/{id}``."""
        caller = await self.authentication.caller(request)
        model = self.catalog.find(name)
        if not _may_use(caller, model):
            raise AccessDenied("model_not_allowed", model=model.name, allowed=", ".join(caller.terms.models or ()))
        return _json(await self._described(model), {})

    def _model(self, name: str, kind: str) -> Model:
        model = self.catalog.find(name)
        if model.kind != kind:
            known = ", ".join(other.name for other in self.catalog.models if other.kind == kind) or "no model"
            text = f"The model {name} is of kind {model.kind}; this path is served by: {known}."
            raise InvalidInput([FieldProblem("model_kind_mismatch", ("body", "model"), text, name)])
        return model

    async def _described(self, model: Model) -> dict[str, Any]:
        price = await self.prices.of(model)
        cached = price.input if price.cached_input is None else price.cached_input
        return {
            "id": model.name,
            "object": "model",
            "created": MODELS_CREATED,
            "owned_by": model.provider,
            "kind": model.kind,
            "context_window": model.context_window,
            "credits_per_1k_input": _credits(price.input),
            "credits_per_1k_output": _credits(price.output),
            "credits_per_1k_cached_input": _credits(cached),
        }


def router(door: OpenAIDoor) -> APIRouter:
    """Make the routes, which FastAPI documents."""
    routes = APIRouter(prefix="/v1", tags=["Model API"], dependencies=NEEDS_ACCOUNT)

    @routes.post("/chat/completions", summary="Answer a chat, whole or as a stream", **documents.CHAT)
    async def chat(request: Request) -> Response:
        return await door.chat(request)

    @routes.post("/embeddings", summary="Turn texts into vectors", **documents.EMBEDDINGS)
    async def embeddings(request: Request) -> Response:
        return await door.embeddings(request)

    @routes.get("/models", summary="The models there are", **documents.MODELS)
    async def models(request: Request) -> Response:
        return await door.models(request)

    @routes.get("/models/{name:path}", summary="One model", **documents.MODEL)
    async def model(name: str, request: Request) -> Response:
        return await door.model(name, request)

    return routes


def thin_routes(door: OpenAIDoor) -> Mapping[tuple[str, str], Endpoint]:
    """Give the endpoints that the framework only documents."""
    return {
        ("POST", "/v1/chat/completions"): door.chat,
        ("POST", "/v1/embeddings"): door.embeddings,
    }


def _may_use(caller: Caller, model: Model) -> bool:
    return caller.terms.models is None or model.name in caller.terms.models


def _credits(microcredits: int) -> orjson.Fragment:
    return orjson.Fragment(format_credits(microcredits))


def _json(body: Json, headers: Mapping[str, str]) -> Response:
    return Response(orjson.dumps(body, default=dict), 200, headers, "application/json")
