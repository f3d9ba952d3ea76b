"""API keys and webhook secrets of an account, which only a login shows or changes."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Request, Response
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator

from telefonist.core.api_keys import ApiKeys
from telefonist.core.webhook_secrets import WebhookSecrets
from telefonist.doors.accounts import NO_LOGIN
from telefonist.doors.auth import NEEDS_LOGIN, Authentication
from telefonist.doors.credits import Budget, Credits, json_response
from telefonist.doors.refusals import AWAY, OF_ANY_BODY, UNREADABLE, refusals
from telefonist.errors import AccessDenied, Conflict, FieldProblem, InvalidInput, NotFound, RateLimited
from telefonist.memory.base import RateLimiter, enforce
from telefonist.types import ApiKey, KeyTerms, utc_now

LONGEST_LIFE = 10 * 366 * 86_400
"""Seconds that a key may be given to live."""

ROTATIONS = "10/day"
"""Changes of an account's webhook secret: each old one signs beside the new one for a day."""

Count = Annotated[int, Field(ge=1, le=1_000_000_000)]


class NewKey(BaseModel):
    """What a key is to be good for; whatever is left out, it may do as its account may."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(
        min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f]+$", description="For you.", examples=["laptop"]
    )
    expires_at: AwareDatetime | None = Field(default=None, description="When it ends; or say expires_in.")
    expires_in: int | None = Field(default=None, ge=1, le=LONGEST_LIFE, description="Seconds until it ends.")
    models: list[Annotated[str, Field(max_length=200)]] | None = Field(
        default=None, min_length=1, max_length=200, description="The only models it may ask.", examples=[["demo"]]
    )
    budget: Budget | None = Field(default=None, description="Credits that it may spend in all.")
    requests_per_minute: Count | None = Field(default=None, examples=[60])
    tokens_per_minute: Count | None = Field(default=None, examples=[100_000])
    max_streams: Count | None = Field(default=None, description="Streams open at once.", examples=[10])

    @model_validator(mode="after")
    def _ends_once(self) -> "NewKey":
        if self.expires_at is not None and self.expires_in is not None:
            raise ValueError("Give expires_at or expires_in, not both.")
        return self

    @property
    def ends(self) -> datetime | None:
        return self.expires_at if self.expires_in is None else utc_now() + timedelta(seconds=self.expires_in)

    @property
    def terms(self) -> KeyTerms:
        return KeyTerms(
            models=None if self.models is None else tuple(self.models),
            budget=self.budget,
            requests_per_minute=self.requests_per_minute,
            tokens_per_minute=self.tokens_per_minute,
            max_streams=self.max_streams,
        )


class KeyDocument(BaseModel):
    """A key without the key itself."""

    id: UUID
    name: str = Field(examples=["laptop"])
    hint: str = Field(description="Its beginning and end.", examples=["tf-abcd…wxyz"])
    models: list[str] | None
    budget: Credits | None
    spent: Credits = Field(description="Counted for a key with a budget.")
    requests_per_minute: int | None
    tokens_per_minute: int | None
    max_streams: int | None
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None = Field(description="To the minute.")


class MadeKey(KeyDocument):
    """A new key: the one time that it is shown."""

    key: str = Field(description="Keep it: nobody can show it again.", examples=["tf-abcd..."])


class KeyList(BaseModel):
    """An account's keys, the newest first."""

    keys: list[KeyDocument]


class WebhookSecretDocument(BaseModel):
    """What callbacks are signed with (Standard Webhooks): the newest secret, and those that sign beside it."""

    secret: str = Field(examples=["whsec_..."])
    previous: list[str] = Field(description="Still good, each for 24 hours after it was changed.")


UNKNOWN_MODEL = InvalidInput(
    [FieldProblem("model_not_found", ("body", "models", 0), "Model 'gpt-17' is unknown. Known models: demo.", "gpt-17")]
)


def router(authentication: Authentication, keys: ApiKeys, secrets: WebhookSecrets, limiter: RateLimiter) -> APIRouter:
    """Make the routes."""
    routes = APIRouter(prefix="/me", tags=["Keys"], dependencies=NEEDS_LOGIN)

    async def account(request: Request) -> UUID:
        return (await authentication.person(request)).payer

    @routes.post(
        "/keys",
        status_code=201,
        response_model=MadeKey,
        responses=UNREADABLE
        | refusals(
            *NO_LOGIN,
            AccessDenied("account_disabled"),
            Conflict("too_many_keys", most=100),
            UNKNOWN_MODEL,
            *OF_ANY_BODY,
            AWAY,
        ),
        summary="Make a key",
    )
    async def create(wanted: NewKey, request: Request) -> Response:
        """The key is shown this once: only its digest is kept."""
        made, key = await keys.create(await account(request), wanted.name, wanted.terms, wanted.ends)
        return json_response(MadeKey(**_fields(made), key=key), 201)

    @routes.get("/keys", response_model=KeyList, responses=refusals(*NO_LOGIN, AWAY), summary="Your keys")
    async def show(request: Request) -> Response:
        found = await keys.of_account(await account(request))
        return json_response(KeyList(keys=[KeyDocument(**_fields(key)) for key in found]))

    @routes.delete(
        "/keys/{key_id}",
        status_code=204,
        responses=refusals(*NO_LOGIN, NotFound("key_not_found", key_id="01980c2e-6d3c-7f1e-9a55-0d8f4a1b2c3d"), AWAY),
        summary="Revoke a key",
    )
    async def revoke(key_id: UUID, request: Request) -> Response:
        """It is refused everywhere within five seconds, for good."""
        await keys.revoke(await account(request), key_id)
        return Response(status_code=204)

    @routes.get("/webhook-secret", responses=refusals(*NO_LOGIN, AWAY), summary="What your callbacks are signed with")
    async def secret(request: Request) -> WebhookSecretDocument:
        return _secrets(await secrets.live(await account(request)))

    @routes.post(
        "/webhook-secret/rotate",
        responses=refusals(*NO_LOGIN, RateLimited(limit=ROTATIONS, seconds=3600), AWAY),
        summary="Sign callbacks with a new secret",
    )
    async def rotate(request: Request) -> WebhookSecretDocument:
        """The old secret signs beside the new one for 24 hours."""
        account_id = await account(request)
        await enforce(limiter, ROTATIONS, "webhook-secret", str(account_id))
        await secrets.rotate(account_id)
        return _secrets(await secrets.live(account_id))

    return routes


def _fields(key: ApiKey) -> dict[str, object]:
    terms = key.terms
    return {
        "id": key.id,
        "name": key.name,
        "hint": key.hint,
        "models": None if terms.models is None else list(terms.models),
        "budget": terms.budget,
        "spent": key.spent,
        "requests_per_minute": terms.requests_per_minute,
        "tokens_per_minute": terms.tokens_per_minute,
        "max_streams": terms.max_streams,
        "created_at": key.created_at,
        "expires_at": key.expires_at,
        "last_used_at": key.last_used_at,
    }


def _secrets(live: Sequence[str]) -> WebhookSecretDocument:
    return WebhookSecretDocument(secret=live[0], previous=list(live[1:]))
