"""What administrators send and see, as JSON."""

from datetime import datetime
from typing import Annotated, Any, Self
from uuid import UUID

from fastapi import Query
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from telefonist.doors.credits import Amount, Credits, PriceInput
from telefonist.doors.refusals import AWAY, Responses, refusals
from telefonist.errors import AccessDenied, AuthenticationRequired, CredentialsRefused, TelefonistError
from telefonist.storage.users import User
from telefonist.types import AccountRole, AuditEntry, Price


def _one_line(value: str) -> str:
    for character in value:
        if character < " " or character == "\x7f":
            raise PydanticCustomError(
                "string_control_character",
                "Remove the control character {name}.",
                {"name": f"U+{ord(character):04X}"},
            )
    return value


def _not_blank(value: str) -> str:
    if not value.strip():
        raise PydanticCustomError("string_too_short", "Say something: it is blank.")
    return value


OneLine = Annotated[str, AfterValidator(_one_line)]
"""Text without control characters, which storage and the log could not keep."""

Cursor = Annotated[UUID | None, Query(description="next_cursor of the page before")]
Limit = Annotated[int, Query(ge=1, le=200)]


class UserDocument(BaseModel):
    """A user, beside what they have."""

    id: UUID
    email: str | None = Field(examples=["anna@example.com"])
    role: AccountRole
    disabled: bool
    balance: Credits
    held: Credits
    available: Credits
    created_at: datetime


class UserPage(BaseModel):
    """Users, the newest first; ``next_cursor`` leads to the page after, null at the end."""

    users: list[UserDocument]
    next_cursor: UUID | None


class UserChange(BaseModel):
    """What is to be different about a user; what is left out, or null, stays."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"role": "operator"}]})

    role: AccountRole | None = None
    disabled: bool | None = Field(default=None, description="Shut out: every login ends, no key is taken.")

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.role is None and self.disabled is None:
            raise PydanticCustomError("missing", "Give role or disabled, or both.")
        return self


class BalanceChange(BaseModel):
    """What is added to a balance, or taken away where the amount is negative."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"amount": 100, "reason": "Invoice 2026-117"}]}
    )

    amount: Amount = Field(description="Credits, with up to six decimals.")
    reason: Annotated[OneLine, AfterValidator(_not_blank)] = Field(
        min_length=1, max_length=500, description="The user sees it in the ledger."
    )


class PriceChange(BaseModel):
    """What a model is to cost, in credits for 1000 tokens."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"credits_per_1k_input": 0.5, "credits_per_1k_output": 1.5}]},
    )

    credits_per_1k_input: PriceInput
    credits_per_1k_output: PriceInput
    credits_per_1k_cached_input: PriceInput | None = Field(
        default=None, description="Of input that the provider had in its cache; without it as any other."
    )

    def price(self) -> Price:
        """Give the price in microcredits."""
        return Price(self.credits_per_1k_input, self.credits_per_1k_output, self.credits_per_1k_cached_input)


class PriceDocument(BaseModel):
    """What a model costs now, in credits for 1000 tokens."""

    model: str = Field(examples=["demo"])
    credits_per_1k_input: Credits
    credits_per_1k_output: Credits
    credits_per_1k_cached_input: Credits | None
    overridden: bool = Field(description="Whether an administrator's price stands above the one of the settings.")


class AuditEntryDocument(BaseModel):
    """Something that was changed, and by whom; without an actor it was the command line."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    actor_id: UUID | None
    action: str = Field(examples=["balance.changed"])
    subject: str
    details: dict[str, Any]
    created_at: datetime


class AuditPage(BaseModel):
    """What was changed, the newest first; ``next_cursor`` leads to the page after, null at the end."""

    entries: list[AuditEntryDocument]
    next_cursor: UUID | None


def admin_refusals(*errors: TelefonistError) -> Responses:
    """Describe the errors of a route beside those that each of administrators' routes may answer."""
    return refusals(
        AuthenticationRequired("login_required"),
        CredentialsRefused(),
        AccessDenied("admin_required"),
        AccessDenied("login_not_a_key"),
        *errors,
        AWAY,
    )


def user_document(user: User) -> UserDocument:
    """Write a user as administrators see them."""
    account, balance = user.account, user.balance
    return UserDocument(
        id=account.id,
        email=account.email,
        role=account.role,
        disabled=account.disabled,
        balance=balance.balance,
        held=balance.held,
        available=balance.available,
        created_at=account.created_at,
    )


def price_document(model: str, price: Price, *, overridden: bool) -> PriceDocument:
    """Write a model's price."""
    return PriceDocument(
        model=model,
        credits_per_1k_input=price.input,
        credits_per_1k_output=price.output,
        credits_per_1k_cached_input=price.cached_input,
        overridden=overridden,
    )


def audit_document(entry: AuditEntry) -> AuditEntryDocument:
    """Write an entry of the audit."""
    return AuditEntryDocument.model_validate(entry)
