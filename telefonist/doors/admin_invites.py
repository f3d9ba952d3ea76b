"""Invites: administrators make, see and withdraw them."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from telefonist.core.accounts import Accounts
from telefonist.core.emails import LONGEST_EMAIL
from telefonist.doors.admin_documents import Cursor, Limit, OneLine, admin_refusals
from telefonist.doors.auth import NEEDS_LOGIN, Authentication
from telefonist.doors.refusals import OF_ANY_BODY, UNREADABLE, WRONG_LIMIT
from telefonist.errors import Conflict, FieldProblem, InvalidInput, NotFound
from telefonist.types import AccountRole, Caller


class NewInvite(BaseModel):
    """Whom an invite is for."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"email": "anna@example.com"}]})

    role: AccountRole = Field(default=AccountRole.CLIENT, description="What the new account may do.")
    email: OneLine | None = Field(
        default=None, max_length=LONGEST_EMAIL, description="The only address that may use it."
    )


class InviteDocument(BaseModel):
    """An invite without the code that makes it good."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    role: AccountRole
    email: str | None
    created_by: UUID | None = Field(description="The administrator; null for the command line.")
    created_at: datetime
    expires_at: datetime
    used_by: UUID | None
    used_at: datetime | None


class MadeInvite(InviteDocument):
    """A new invite: the one time that its code is shown."""

    invite: str = Field(description="Give it to whoever is to register.", examples=["Hq3v…"])


class InvitePage(BaseModel):
    """Invites, the newest first; ``next_cursor`` leads to the page after, null at the end."""

    invites: list[InviteDocument]
    next_cursor: UUID | None


WRONG_EMAIL = InvalidInput(
    [FieldProblem("email", ("body", "email"), "An email address must have an @-sign.", "anna.example.com")]
)
NO_INVITE = NotFound("invite_not_found", invite=UUID("01934567-89ab-7cde-8f01-23456789abcd"))


def router(authentication: Authentication, accounts: Accounts) -> APIRouter:
    """Make the routes."""

    async def admin(request: Request) -> Caller:
        return await authentication.admin(request)

    routes = APIRouter(prefix="/admin/invites", tags=["Administration"], dependencies=[*NEEDS_LOGIN, Depends(admin)])
    Admin = Annotated[Caller, Depends(admin)]  # noqa: N806  a type

    @routes.post(
        "",
        status_code=201,
        responses=UNREADABLE
        | admin_refusals(Conflict("email_taken", email="anna@example.com"), WRONG_EMAIL, *OF_ANY_BODY),
        summary="Make an invite, good once within a week",
    )
    async def create(wanted: NewInvite, caller: Admin) -> MadeInvite:
        """The code is shown this once: only its digest is kept."""
        invite, code = await accounts.invite(wanted.role, wanted.email, caller.account_id)
        return MadeInvite(**InviteDocument.model_validate(invite).model_dump(), invite=code)

    @routes.get("", responses=admin_refusals(WRONG_LIMIT), summary="Invites, the newest first")
    async def show(cursor: Cursor = None, limit: Limit = 50) -> InvitePage:
        page = await accounts.invites(cursor, limit)
        return InvitePage(
            invites=[InviteDocument.model_validate(invite) for invite in page],
            next_cursor=page[-1].id if len(page) == limit else None,
        )

    @routes.delete(
        "/{invite_id}",
        status_code=204,
        responses=admin_refusals(NO_INVITE),
        summary="Withdraw an invite that nobody has used",
    )
    async def withdraw(invite_id: UUID, caller: Admin) -> Response:
        await accounts.withdraw_invite(invite_id, caller.account_id)
        return Response(status_code=204)

    return routes
