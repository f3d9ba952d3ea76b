"""The plain chat doors: the whole conversation comes in, and goes back with the answer at its end.

Nothing is kept between two requests. ``/gigachat/`` asks models of GigaChat and ``/chatgpt/`` all others, the demo
models among them where they are asked for by name; no model ever stands in for one that is not set up.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import orjson
from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError
from starlette.responses import Response

from telefonist.core.catalog import Catalog
from telefonist.core.generations import Generations, Wanted
from telefonist.doors.answer_headers import answer_headers
from telefonist.doors.auth import MAY_BE_ANONYMOUS, NEEDS_ACCOUNT, Authentication
from telefonist.doors.client_watch import ClientWatch
from telefonist.doors.public_bodies import read_body
from telefonist.doors.refusals import AWAY, OF_ANY_BODY, refusals
from telefonist.errors import (
    AccessDenied,
    AuthenticationRequired,
    CredentialsRefused,
    FieldProblem,
    InsufficientCredits,
    InvalidInput,
    NotFound,
    ProviderFailed,
    ProviderRejectedRequest,
    ProviderTimeout,
    RateLimited,
    TelefonistError,
    Unavailable,
)
from telefonist.types import Door, Model


class ChatMessage(BaseModel):
    """One thing that was said."""

    model_config = ConfigDict(extra="forbid", strict=True)

    role: Literal["system", "user", "assistant"]
    content: str = Field(examples=["Привет!"])

    @field_validator("content")
    @classmethod
    def _says_something(cls, content: str, info: ValidationInfo) -> str:
        """Let only the assistant say nothing: a model may have, and its answer comes back with the next question."""
        if not content.strip() and info.data.get("role") != "assistant":
            raise PydanticCustomError("string_too_short", "The message is blank.")
        return content


class Conversation(BaseModel):
    """A conversation, and the model that is asked to answer its last message."""

    model_config = ConfigDict(extra="forbid", strict=True)

    model: str = Field(min_length=1, max_length=256, description="A model's name.")
    messages: list[ChatMessage] = Field(min_length=1, description="All that was said so far, oldest first.")


@dataclass(frozen=True, slots=True)
class ServedModels:
    """The models behind one door, by their names; ``missing`` is the code of what to say where nothing is set up."""

    models: Mapping[str, Model]
    missing: str | None

    def find(self, catalog: Catalog, name: str) -> Model:
        """Give the model of that name or alias; raises Unavailable where none is set up, and NotFound."""
        known = ", ".join(self.models)
        try:
            model = self.models.get(catalog.find(name).name)
        except NotFound:
            model = None
        if model is not None:
            return model
        if self.missing is not None:
            raise Unavailable(self.missing, known=known)
        raise NotFound("model_not_found", model=name, known=known)


@dataclass(frozen=True, slots=True)
class ChatDoors:
    """Both doors; ``kinds`` are the wire protocols of the providers, by name."""

    generations: Generations
    catalog: Catalog
    authentication: Authentication
    kinds: Mapping[str, str]
    system_prompt: str

    def chatgpt(self) -> ServedModels:
        """Give the models of every provider but GigaChat; without one, those of the demo alone."""
        kinds = set(self.kinds.values()) - {"gigachat"}
        return ServedModels(self._of(kinds), None if kinds - {"demo"} else "chatgpt_not_configured")

    def gigachat(self) -> ServedModels:
        """Give GigaChat's models."""
        return ServedModels(
            self._of({"gigachat"}), None if "gigachat" in self.kinds.values() else "gigachat_not_configured"
        )

    async def answer(self, request: Request, served: ServedModels) -> Response:
        """Give the conversation back with the system prompt before it, where it had none, and the answer behind it."""
        caller = await self.authentication.caller(request)
        conversation = read_body(await request.body(), Conversation)
        model = served.find(self.catalog, conversation.model)
        messages = [message.model_dump() for message in conversation.messages]
        if self.system_prompt and not any(message["role"] == "system" for message in messages):
            messages.insert(0, {"role": "system", "content": self.system_prompt})
        async with ClientWatch(request.receive):
            completed = await self.generations.complete(Wanted(caller, Door.CHAT, model, tuple(messages)))
        messages.append({"role": "assistant", "content": completed.answer.completion.text})
        return Response(
            orjson.dumps({"model": conversation.model, "messages": messages}),
            200,
            answer_headers(completed.admission, model, completed.answer.model),
            "application/json",
        )

    def _of(self, kinds: Iterable[str]) -> dict[str, Model]:
        return {
            model.name: model
            for model in self.catalog.models
            if model.kind == "chat" and self.kinds[model.provider] in kinds
        }


def router(doors: ChatDoors) -> APIRouter:
    """Make the routes, each with and without its slash at the end: a redirect would lose the body with some clients."""
    routes = APIRouter(tags=["Plain chat"], dependencies=NEEDS_ACCOUNT)
    chatgpt, gigachat = doors.chatgpt(), doors.gigachat()

    @routes.post("/chatgpt", include_in_schema=False)
    @routes.post(
        "/chatgpt/",
        response_model=Conversation,
        responses=_responses("gpt-3.5-turbo", doors.system_prompt, Unavailable("chatgpt_not_configured", known="demo")),
        openapi_extra=_request("gpt-3.5-turbo", doors.system_prompt),
        summary="Ask a model, of any provider but GigaChat",
    )
    async def ask_chatgpt(request: Request) -> Response:
        return await doors.answer(request, chatgpt)

    @routes.post("/gigachat", include_in_schema=False)
    @routes.post(
        "/gigachat/",
        response_model=Conversation,
        responses=_responses("GigaChat:latest", doors.system_prompt, Unavailable("gigachat_not_configured")),
        openapi_extra=_request("GigaChat:latest", doors.system_prompt),
        summary="Ask a model of GigaChat",
    )
    async def ask_gigachat(request: Request) -> Response:
        return await doors.answer(request, gigachat)

    return routes


def _request(model: str, system_prompt: str) -> dict[str, Any]:
    schema = Conversation.model_json_schema(ref_template="#/components/schemas/{model}")
    schema.pop("$defs")  # the answer's description brings them
    example = {"model": model, "messages": [{"role": "user", "content": "Привет!"}]}
    beginning = f' Where there is no system message, this one is put first: "{system_prompt}".' if system_prompt else ""
    return {
        "description": "Answers with the same list and the answer at its end. To go on, send the list back with the "
        f"next question behind it: nothing is kept here.{beginning}",
        "requestBody": {"required": True, "content": {"application/json": {"schema": schema, "example": example}}},
        **MAY_BE_ANONYMOUS,
    }


def _responses(model: str, system_prompt: str, missing: TelefonistError) -> dict[int | str, dict[str, Any]]:
    said = [{"role": "user", "content": "Привет!"}, {"role": "assistant", "content": "Привет! Чем я могу тебе помочь?"}]
    if system_prompt:
        said.insert(0, {"role": "system", "content": system_prompt})
    return {
        200: {
            "description": "The conversation with the answer at its end",
            "content": {"application/json": {"example": {"model": model, "messages": said}}},
        },
        **refusals(
            AuthenticationRequired(why="why_anonymous_off"),
            CredentialsRefused(),
            ProviderRejectedRequest("chatgpt", status=400, reason="maximum context length exceeded"),
            InsufficientCredits(balance="0.5", available="0.5", need="51.2"),
            AccessDenied("model_not_allowed", model=model, allowed="demo"),
            NotFound("model_not_found", model="gpt-9", known=model),
            *OF_ANY_BODY,
            InvalidInput([FieldProblem("missing", ("body", "messages"), "Field required", {"model": model})]),
            RateLimited(limit="60/minute", seconds=12),
            ProviderFailed("chatgpt", status=500, reason="overloaded"),
            AWAY,
            missing,
            ProviderTimeout("chatgpt", phase="headers", seconds=120),
        ),
    }
