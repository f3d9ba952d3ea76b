"""An account's own money: what it has, how it came to that, and what it used."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from telefonist.doors.auth import NEEDS_ACCOUNT, Authentication
from telefonist.doors.credits import Credits, json_response
from telefonist.doors.refusals import AWAY, WRONG_LIMIT, refusals
from telefonist.doors.usage_reports import (
    USAGE_RESPONSE,
    WRONG_PERIOD,
    First,
    Format,
    Last,
    period,
    usage_response,
)
from telefonist.errors import AuthenticationRequired, CredentialsRefused
from telefonist.storage.ledger import Ledger
from telefonist.storage.usage import UsageReports
from telefonist.types import LedgerKind

LARGEST_NUMBER = 2**63 - 1
"""Of an entry, as the database counts them."""


class BalanceDocument(BaseModel):
    """What an account has, in credits; ``held`` of it is set aside for generations under way."""

    model_config = ConfigDict(from_attributes=True)

    balance: Credits = Field(examples=[100])
    held: Credits = Field(examples=[0.5])
    available: Credits = Field(examples=[99.5])


class LedgerEntryDocument(BaseModel):
    """One change of a balance: its amount, and the balance that it left."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    number: int = Field(description="Counts the account's entries from 1, without gaps.")
    kind: LedgerKind
    amount: Credits = Field(description="Negative for what was taken away.", examples=[-0.000136])
    balance: Credits
    generation_id: UUID | None = Field(description="What a charge is for.")
    model: str | None = Field(examples=["demo"])
    reason: str | None = Field(description="What whoever changed the balance by hand gave as the reason.")
    created_at: datetime


class LedgerPage(BaseModel):
    """Entries of the ledger, the newest first; ``next_cursor`` leads to the page after, null at the end."""

    entries: list[LedgerEntryDocument]
    next_cursor: int | None


NOBODY = AuthenticationRequired("account_needed")
REFUSED = CredentialsRefused()


def router(authentication: Authentication, ledger: Ledger, reports: UsageReports) -> APIRouter:
    """Make the routes; a key may use them as well as a login."""
    routes = APIRouter(prefix="/me", tags=["Account"], dependencies=NEEDS_ACCOUNT)

    async def account(request: Request) -> UUID:
        return (await authentication.account(request)).payer

    Account = Annotated[UUID, Depends(account)]  # noqa: N806  a type

    @routes.get(
        "/balance",
        response_model=BalanceDocument,
        responses=refusals(NOBODY, REFUSED, AWAY),
        summary="What your account has",
    )
    async def balance(account_id: Account) -> Response:
        return json_response(BalanceDocument.model_validate(await ledger.balance(account_id)))

    @routes.get(
        "/ledger",
        response_model=LedgerPage,
        responses=refusals(NOBODY, REFUSED, WRONG_LIMIT, AWAY),
        summary="How your balance changed, the newest change first",
    )
    async def entries(
        account_id: Account,
        cursor: Annotated[
            int | None, Query(ge=1, le=LARGEST_NUMBER, description="next_cursor of the page before")
        ] = None,
        limit: Annotated[int, Query(ge=1, le=200)] = 50,
    ) -> Response:
        page = await ledger.entries(account_id, cursor, limit)
        more = len(page) == limit and page[-1].number > 1
        return json_response(
            LedgerPage(
                entries=[LedgerEntryDocument.model_validate(entry) for entry in page],
                next_cursor=page[-1].number if more else None,
            )
        )

    @routes.get(
        "/usage",
        response_model=None,
        responses=USAGE_RESPONSE | refusals(NOBODY, REFUSED, WRONG_PERIOD, AWAY),
        summary="What you used, by day and model",
    )
    async def usage(
        account_id: Account, request: Request, first: First = None, last: Last = None, wanted: Format = None
    ) -> Response:
        days = period(first, last)
        rows = await reports.by_day_and_model(account_id, days.first, days.last)
        return usage_response(request, days, rows, wanted)

    return routes
