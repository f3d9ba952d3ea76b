"""How the description of the API shows what a route may refuse: by the errors themselves, in the words they answer."""

from collections.abc import Iterable
from itertools import groupby
from typing import Any

from pydantic import BaseModel, Field

from telefonist import texts
from telefonist.errors import BodyTimeout, FieldProblem, InvalidInput, PayloadTooLarge, TelefonistError, Unavailable

Responses = dict[int | str, dict[str, Any]]

OF_ANY_BODY = (BodyTimeout(seconds="30"), PayloadTooLarge(limit=1048576))
"""What every route with a body may answer before it has seen the whole of it."""

AWAY = Unavailable(seconds=2)
"""While the database is away, or behind."""

WRONG_LIMIT = InvalidInput(
    [FieldProblem("greater_than_equal", ("query", "limit"), "Input should be greater than or equal to 1", "0")]
)
"""What every route with pages answers to a page of nothing."""

RETRY_AFTER = {"retry-after": {"description": "Seconds to wait", "schema": {"type": "integer", "minimum": 1}}}
"""The header of whatever may be asked again."""


class Refusal(BaseModel):
    """Why a request was refused: a text for people, in the caller's language, and a stable code for programs."""

    detail: str
    code: str


class InvalidField(BaseModel):
    """One thing wrong with a request: where, and what to do about it."""

    type: str
    loc: list[str | int]
    msg: str
    input: Any = None


class InvalidRequest(BaseModel):
    """What is wrong with a request, field by field, beside the body that was received."""

    detail: list[InvalidField]
    body: Any = Field(default=None, description="The body as it was received, null where there was none.")


def refusals(*errors: TelefonistError) -> Responses:
    """Describe the errors that a route may answer, several of one status as named examples.

    An error is given as the route would raise it, so that the example has the very code and text.
    """
    by_status = groupby(sorted(errors, key=lambda error: error.status), key=lambda error: error.status)
    return {status: _described(list(same)) for status, same in by_status}


UNREADABLE: Responses = {
    400: {
        "description": "The body is no JSON in UTF-8",
        "model": Refusal,
        "content": {
            "application/json": {
                "example": {"detail": texts.render("unreadable_body", "en"), "code": "unreadable_body"}
            }
        },
    }
}
"""What a route answers whose JSON the framework reads."""


def _described(errors: Iterable[TelefonistError]) -> dict[str, Any]:
    errors = list(errors)
    again = {"headers": RETRY_AFTER} if errors[0].status in (429, 503) else {}
    return {
        **again,
        "description": " / ".join(dict.fromkeys(_summary(error) for error in errors)),
        "model": InvalidRequest if isinstance(errors[0], InvalidInput) else Refusal,
        "content": {
            "application/json": {
                "examples": {error.code: {"summary": _summary(error), "value": _body(error)} for error in errors}
            }
        },
    }


def _summary(error: TelefonistError) -> str:
    return (type(error).__doc__ or "").partition("\n")[0].partition(";")[0].rstrip(".")


def _body(error: TelefonistError) -> dict[str, Any]:
    if isinstance(error, InvalidInput):
        problems = [{"type": p.type, "loc": list(p.loc), "msg": p.msg, "input": p.input} for p in error.problems]
        return {"detail": problems, "body": None}
    return {"detail": error.text("en"), "code": error.code}
