"""How the description of the API shows what a route may refuse: by the errors themselves, in the words they answer."""

from collections.abc import Iterable
from itertools import groupby
from typing import Any

from pydantic import BaseModel, Field

from telefonist.errors import InvalidInput, TelefonistError

Responses = dict[int | str, dict[str, Any]]


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


def _described(errors: Iterable[TelefonistError]) -> dict[str, Any]:
    errors = list(errors)
    return {
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
