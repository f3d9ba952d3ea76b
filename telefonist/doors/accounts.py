"""Accounts over HTTP: registering, logging in and out, passwords, and who one is."""

from datetime import datetime
from typing import Literal
from uuid import UUID

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from telefonist.core.accounts import Accounts
from telefonist.core.emails import LONGEST_EMAIL
from telefonist.core.logins import Logins
from telefonist.core.passwords import LONGEST, SHORTEST
from telefonist.doors.auth import NEEDS_ACCOUNT, NEEDS_LOGIN, Authentication
from telefonist.doors.private_bodies import described, read_form, read_json
from telefonist.doors.refusals import AWAY, OF_ANY_BODY, refusals
from telefonist.errors import (
    AccessDenied,
    AuthenticationRequired,
    Conflict,
    CredentialsRefused,
    FieldProblem,
    InvalidInput,
    LoginFailed,
    RateLimited,
    Unavailable,
)
from telefonist.types import AccountRole

EMAIL = Field(max_length=LONGEST_EMAIL, examples=["ann@example.com"], json_schema_extra={"format": "email"})
NEW_PASSWORD = Field(min_length=SHORTEST, max_length=LONGEST, json_schema_extra={"format": "password"})
PASSWORD = Field(json_schema_extra={"format": "password"})


class NewUser(BaseModel):
    """Whoever wants an account."""

    email: str = EMAIL
    password: str = NEW_PASSWORD
    invite: str | None = Field(default=None, max_length=200, description="Where registration needs an invite.")


class LoginForm(BaseModel):
    """The form of OAuth2's password grant (RFC 6749, section 4.3.2)."""

    username: str = Field(description="The e-mail address.", examples=["ann@example.com"])
    password: str = PASSWORD
    grant_type: Literal["password", ""] = "password"
    scope: str = Field(default="", description="Ignored: there are no scopes.")


class RefreshToken(BaseModel):
    """A refresh token, good once."""

    refresh_token: str = Field(max_length=200)


class PasswordChange(BaseModel):
    """The password of now, and the one to come."""

    current_password: str = PASSWORD
    new_password: str = NEW_PASSWORD


class TokenDocument(BaseModel):
    """What a login gives: a token to call with, and one, good once, to get the next two with."""

    model_config = ConfigDict(from_attributes=True)

    access_token: str
    refresh_token: str
    token_type: Literal["bearer"] = "bearer"  # noqa: S105  what RFC 6750 calls it
    expires_in: int = Field(description="Seconds until the access token is over.", examples=[900])


class ProfileDocument(BaseModel):
    """A user."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    email: str | None
    role: AccountRole
    created_at: datetime


BUSY = Unavailable("passwords_busy", seconds=2)
TOO_OFTEN = RateLimited(limit="10 per 15 minutes", seconds=540)
NO_LOGIN = (AuthenticationRequired("login_required"), CredentialsRefused(), AccessDenied("login_not_a_key"))
TOO_SHORT = InvalidInput([FieldProblem("string_too_short", ("body", "password"), "String should have at least …")])
NO_TOKEN = InvalidInput([FieldProblem("missing", ("body", "refresh_token"), "Field required")])
NO_USERNAME = InvalidInput([FieldProblem("missing", ("body", "username"), "Field required")])


def router(authentication: Authentication, accounts: Accounts, logins: Logins) -> APIRouter:
    """Make the routes."""
    routes = APIRouter(tags=["Account"])
    policy = authentication.policy

    @routes.post(
        "/auth/register",
        status_code=201,
        openapi_extra=described(NewUser),
        responses=refusals(
            AuthenticationRequired(why="why_foreign_peer"),
            AccessDenied("registration_closed"),
            AccessDenied("invite_required"),
            AccessDenied("invite_not_accepted"),
            Conflict("email_taken", email="ann@example.com"),
            TOO_SHORT,
            RateLimited(limit="100/hour", seconds=60),
            *OF_ANY_BODY,
            AWAY,
            BUSY,
        ),
        summary="Make an account",
    )
    async def register(request: Request) -> ProfileDocument:
        policy.admit_newcomer(request)
        wanted = await read_json(request, NewUser)
        made = await accounts.register(wanted.email, wanted.password, wanted.invite, policy.address(request))
        return ProfileDocument.model_validate(made)

    @routes.post(
        "/auth/login",
        openapi_extra=described(LoginForm, "application/x-www-form-urlencoded"),
        responses=refusals(
            LoginFailed(), AccessDenied("account_disabled"), NO_USERNAME, TOO_OFTEN, *OF_ANY_BODY, AWAY, BUSY
        ),
        summary="Log in",
    )
    async def login(request: Request) -> TokenDocument:
        form = await read_form(request, LoginForm)
        return TokenDocument.model_validate(await logins.login(form.username, form.password, policy.address(request)))

    @routes.post(
        "/auth/refresh",
        openapi_extra=described(RefreshToken),
        responses=refusals(CredentialsRefused("refresh_not_accepted"), NO_TOKEN, *OF_ANY_BODY, AWAY),
        summary="Get the next tokens",
    )
    async def refresh(request: Request) -> TokenDocument:
        """A refresh token is good once. One that is shown again is in two hands: then the whole login ends."""
        shown = await read_json(request, RefreshToken)
        return TokenDocument.model_validate(await logins.refresh(shown.refresh_token))

    @routes.post(
        "/auth/logout",
        status_code=204,
        dependencies=NEEDS_LOGIN,
        responses=refusals(*NO_LOGIN, AWAY),
        summary="Log out",
    )
    async def logout(request: Request) -> Response:
        """Ends this login: its refresh token at once, its access token within five seconds."""
        person = await authentication.person(request)
        await logins.logout(person)
        return Response(status_code=204)

    @routes.post(
        "/auth/password",
        status_code=204,
        dependencies=NEEDS_LOGIN,
        openapi_extra=described(PasswordChange),
        responses=refusals(
            *NO_LOGIN, AccessDenied("current_password_wrong"), TOO_SHORT, TOO_OFTEN, *OF_ANY_BODY, AWAY, BUSY
        ),
        summary="Change the password",
    )
    async def change_password(request: Request) -> Response:
        """Every other login of the account ends."""
        person = await authentication.person(request)
        wanted = await read_json(request, PasswordChange)
        await logins.change_password(person, wanted.current_password, wanted.new_password)
        return Response(status_code=204)

    @routes.get(
        "/me",
        dependencies=NEEDS_ACCOUNT,
        responses=refusals(AuthenticationRequired("account_needed"), CredentialsRefused(), AWAY),
        summary="Who you are",
    )
    async def profile(request: Request) -> ProfileDocument:
        caller = await authentication.account(request)
        return ProfileDocument.model_validate(await accounts.profile(caller.payer))

    return routes
