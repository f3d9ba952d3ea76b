"""How providers have been answering, for administrators."""

from collections.abc import Iterable
from datetime import datetime
from math import ceil
from typing import Literal

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, ConfigDict, Field

from telefonist.core.catalog import Catalog
from telefonist.core.provider_health import CircuitState, ModelHealth, ProviderHealth
from telefonist.doors.admin_documents import admin_refusals
from telefonist.doors.auth import NEEDS_LOGIN, Authentication
from telefonist.types import Model, ProviderConfig

Kind = Literal["openai", "gigachat", "anthropic", "demo"]


class TimesDocument(BaseModel):
    """Milliseconds that the last answers took, at most 200 of them."""

    model_config = ConfigDict(from_attributes=True)

    count: int
    median: int
    p95: int


class ErrorDocument(BaseModel):
    """What went wrong most recently."""

    model_config = ConfigDict(from_attributes=True)

    code: str = Field(examples=["provider_failed"])
    text: str = Field(examples=["Provider 'openai' failed with status 500: overloaded."])
    at: datetime


class ModelHealthDocument(BaseModel):
    """How a model has been answering this process since it began."""

    model: str = Field(examples=["gpt-4o"])
    state: CircuitState = Field(
        description="open: it has been failing and is asked after its fallbacks; half_open: a request tries it again."
    )
    since: datetime | None = Field(description="When that changed last.")
    probe_in_seconds: int = Field(description="When a request tries it again, of an open one.")
    answers: int
    errors: dict[str, int] = Field(description="How many, by their code.", examples=[{"provider_failed": 3}])
    last_error: ErrorDocument | None
    whole_ms: TimesDocument | None = Field(description="Until a whole answer was there.")
    first_piece_ms: TimesDocument | None = Field(description="Until a stream began.")


class ProviderDocument(BaseModel):
    """A provider and its models."""

    provider: str = Field(examples=["openai"])
    kind: Kind
    models: list[ModelHealthDocument]


class ProviderList(BaseModel):
    """Every provider that is configured."""

    providers: list[ProviderDocument]


def router(
    authentication: Authentication, providers: Iterable[ProviderConfig], catalog: Catalog, health: ProviderHealth
) -> APIRouter:
    """Make the route."""
    rows = tuple(providers)

    async def admin(request: Request) -> None:
        await authentication.admin(request)

    routes = APIRouter(prefix="/admin", tags=["Administration"], dependencies=[*NEEDS_LOGIN, Depends(admin)])

    @routes.get("/providers", responses=admin_refusals(), summary="How providers and their models have been answering")
    async def list_providers() -> ProviderList:
        return ProviderList(
            providers=[
                ProviderDocument(
                    provider=row.name,
                    kind=row.kind,
                    models=[
                        _document(model, health.of(model.name))
                        for model in catalog.models
                        if model.provider == row.name
                    ],
                )
                for row in rows
            ]
        )

    return routes


def _document(model: Model, seen: ModelHealth) -> ModelHealthDocument:
    return ModelHealthDocument(
        model=model.name,
        state=seen.state,
        since=seen.since,
        probe_in_seconds=ceil(seen.probe_in),
        answers=seen.answers,
        errors=dict(seen.errors),
        last_error=ErrorDocument.model_validate(seen.last_error) if seen.last_error else None,
        whole_ms=TimesDocument.model_validate(seen.whole) if seen.whole else None,
        first_piece_ms=TimesDocument.model_validate(seen.first_piece) if seen.first_piece else None,
    )
