"""What administrators do: users and their balances, prices, usage, and the audit of it all.

Every route wants the login of an administrator; a key never opens any of them.
"""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Header, Query, Request, Response

from telefonist.core.catalog import Catalog
from telefonist.core.emails import LONGEST_EMAIL
from telefonist.core.identification import Identification
from telefonist.core.prices import Prices
from telefonist.doors.admin_documents import (
    AuditPage,
    BalanceChange,
    Cursor,
    Limit,
    OneLine,
    PriceChange,
    PriceDocument,
    UserChange,
    UserDocument,
    UserPage,
    admin_refusals,
    audit_document,
    price_document,
    user_document,
)
from telefonist.doors.auth import NEEDS_LOGIN, Authentication
from telefonist.doors.billing import LedgerEntryDocument
from telefonist.doors.credits import json_response
from telefonist.doors.refusals import OF_ANY_BODY, UNREADABLE, WRONG_LIMIT
from telefonist.doors.usage_reports import USAGE_RESPONSE, WRONG_PERIOD, First, Format, Last, period, usage_response
from telefonist.errors import (
    Conflict,
    FieldProblem,
    InvalidInput,
    NotFound,
)
from telefonist.storage.audit import AuditLog
from telefonist.storage.ledger import Ledger
from telefonist.storage.usage import UsageReports
from telefonist.storage.users import Users
from telefonist.types import AccountRole, Caller, Model

LONGEST_KEY = 512
"""Characters of an Idempotency-Key."""

IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=LONGEST_KEY,
        pattern=r"^[\x20-\x7e]+$",
        description="Printable ASCII; the same key for the same user gives the same entry for ever.",
    ),
]


def _wrong(kind: str, where: tuple[str, ...], text: str, given: object) -> InvalidInput:
    return InvalidInput([FieldProblem(kind, where, text, given)])


SOMEBODY = UUID("01934567-89ab-7cde-8f01-23456789abcd")
NO_USER = NotFound("user_not_found", user=SOMEBODY)
NO_MODEL = NotFound("model_not_found", model="no-such-model", known="demo")
WRONG_CHANGE = _wrong("missing", ("body",), "Give role or disabled, or both.", {})
WRONG_AMOUNT = _wrong(
    "credits_zero", ("body", "amount"), "Give an amount above zero to add, or below zero to take away.", 0
)
WRONG_PRICE = _wrong(
    "credits_range", ("body", "credits_per_1k_input"), "Give a number of credits from 0 to 1000000.", -1
)


def router(
    authentication: Authentication,
    identification: Identification,
    catalog: Catalog,
    users: Users,
    ledger: Ledger,
    prices: Prices,
    reports: UsageReports,
    audit: AuditLog,
) -> APIRouter:
    """Make the routes; ``identification`` forgets whoever is changed, so that this process sees it at once."""

    async def admin(request: Request) -> Caller:
        return await authentication.admin(request)

    routes = APIRouter(prefix="/admin", tags=["Administration"], dependencies=[*NEEDS_LOGIN, Depends(admin)])
    Admin = Annotated[Caller, Depends(admin)]  # noqa: N806  a type

    @routes.get(
        "/users", response_model=UserPage, responses=admin_refusals(WRONG_LIMIT), summary="Users, the newest first"
    )
    async def list_users(
        search: Annotated[OneLine, Query(max_length=LONGEST_EMAIL, description="A part of the address")] = "",
        role: AccountRole | None = None,
        cursor: Cursor = None,
        limit: Limit = 50,
    ) -> Response:
        page = await users.page(search, role, cursor, limit)
        return json_response(
            UserPage(
                users=[user_document(user) for user in page],
                next_cursor=page[-1].account.id if len(page) == limit else None,
            )
        )

    @routes.get("/users/{user_id}", response_model=UserDocument, responses=admin_refusals(NO_USER), summary="One user")
    async def show_user(user_id: UUID) -> Response:
        return json_response(user_document(await users.get(user_id)))

    @routes.patch(
        "/users/{user_id}",
        response_model=UserDocument,
        responses=UNREADABLE | admin_refusals(NO_USER, Conflict("last_admin"), WRONG_CHANGE, *OF_ANY_BODY),
        summary="Give a user another role, shut them out or let them in",
    )
    async def change_user(user_id: UUID, change: UserChange, caller: Admin) -> Response:
        user = await users.change(user_id, change.role, change.disabled, caller.account_id)
        identification.forget(user_id)
        return json_response(user_document(user))

    @routes.post(
        "/users/{user_id}/balance",
        status_code=201,
        response_model=LedgerEntryDocument,
        responses=UNREADABLE
        | admin_refusals(
            NO_USER,
            Conflict("idempotency_conflict"),
            Conflict("balance_out_of_range", limit="1000000000000"),
            WRONG_AMOUNT,
            *OF_ANY_BODY,
        ),
        summary="Add credits to a balance, or take some away",
    )
    async def change_balance(
        user_id: UUID, change: BalanceChange, caller: Admin, idempotency_key: IdempotencyKey = None
    ) -> Response:
        entry = await ledger.change(user_id, change.amount, change.reason, caller.account_id, idempotency_key)
        return json_response(LedgerEntryDocument.model_validate(entry), 201)

    @routes.put(
        "/models/{name:path}/price",
        response_model=PriceDocument,
        responses=UNREADABLE | admin_refusals(NO_MODEL, WRONG_PRICE, *OF_ANY_BODY),
        summary="Set a model's price above the one of the settings",
    )
    async def set_price(name: str, change: PriceChange, caller: Admin) -> Response:
        model = catalog.find(name)
        await prices.set(model, change.price(), caller.account_id)
        return await _priced(model)

    @routes.delete(
        "/models/{name:path}/price",
        response_model=PriceDocument,
        responses=admin_refusals(NO_MODEL),
        summary="Let the price of the settings apply again",
    )
    async def reset_price(name: str, caller: Admin) -> Response:
        model = catalog.find(name)
        await prices.reset(model.name, caller.account_id)
        return await _priced(model)

    async def _priced(model: Model) -> Response:
        price, overridden = await prices.of(model), await prices.is_overridden(model)
        return json_response(price_document(model.name, price, overridden=overridden))

    @routes.get(
        "/usage",
        response_model=None,
        responses=USAGE_RESPONSE | admin_refusals(WRONG_PERIOD),
        summary="What everybody used, or one account, by day and model",
    )
    async def usage(
        request: Request,
        account_id: Annotated[UUID | None, Query(description="One account; all of them where left out")] = None,
        first: First = None,
        last: Last = None,
        wanted: Format = None,
    ) -> Response:
        days = period(first, last)
        rows = await reports.by_day_and_model(account_id, days.first, days.last)
        return usage_response(request, days, rows, wanted)

    @routes.get(
        "/audit",
        response_model=AuditPage,
        responses=admin_refusals(WRONG_LIMIT),
        summary="Who changed what, newest first",
    )
    async def list_audit(cursor: Cursor = None, limit: Limit = 50) -> Response:
        page = await audit.entries(before=cursor, limit=limit)
        return json_response(
            AuditPage(
                entries=[audit_document(entry) for entry in page],
                next_cursor=page[-1].id if len(page) == limit else None,
            )
        )

    return routes
