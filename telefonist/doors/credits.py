"""Amounts of money on the wire: credits as JSON numbers with up to six decimals, integers of microcredits inside.

What comes in goes by the shortest decimal that a JSON reader makes of it, and what goes out is written digit by digit,
so that nobody ever sees 0.30000000000000004.
"""

from decimal import Decimal, InvalidOperation
from typing import Annotated, Any
from uuid import UUID

import orjson
from pydantic import BaseModel, BeforeValidator, PlainSerializer, TypeAdapter, ValidationError, WithJsonSchema
from pydantic_core import PydanticCustomError
from starlette.responses import Response

from telefonist.errors import FieldProblem, InvalidInput
from telefonist.types import MICROCREDITS, format_credits

LARGEST_AMOUNT = 10**9
"""Credits in one change, up or down."""

LARGEST_PRICE = 10**6
"""Credits for 1000 tokens."""


def _number(value: Any) -> Decimal | None:
    """Take a JSON number as the decimal that was written; None for what is no number."""
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        return None
    number = value if isinstance(value, Decimal) else Decimal(repr(value))
    return number if number.is_finite() else None


def _microcredits(value: Any, least: int, most: int) -> int:
    number = _number(value)
    if number is None or not least <= number <= most:
        raise PydanticCustomError(
            "credits_range", "Give a number of credits from {least} to {most}.", {"least": least, "most": most}
        )
    amount = number * MICROCREDITS
    if amount != int(amount):
        raise PydanticCustomError(
            "credits_decimals", "Round it to six decimals: a credit has a million parts.", {"decimals": 6}
        )
    return int(amount)


def _amount(value: Any) -> int:
    amount = _microcredits(value, -LARGEST_AMOUNT, LARGEST_AMOUNT)
    if amount == 0:
        raise PydanticCustomError("credits_zero", "Give an amount above zero to add, or below zero to take away.")
    return amount


def _price(value: Any) -> int:
    return _microcredits(value, 0, LARGEST_PRICE)


def _budget(value: Any) -> int:
    return _microcredits(value, 0, LARGEST_AMOUNT)


def _schema(**limits: Any) -> WithJsonSchema:
    return WithJsonSchema({"type": "number", **limits})


Amount = Annotated[
    int,
    BeforeValidator(_amount),
    _schema(minimum=-LARGEST_AMOUNT, maximum=LARGEST_AMOUNT, multipleOf=0.000001, examples=[100, -2.5]),
]
"""A signed change of a balance that somebody asks for."""

PriceInput = Annotated[
    int, BeforeValidator(_price), _schema(minimum=0, maximum=LARGEST_PRICE, multipleOf=0.000001, examples=[0.5])
]
"""Credits for 1000 tokens that somebody asks for."""

Budget = Annotated[
    int, BeforeValidator(_budget), _schema(minimum=0, maximum=LARGEST_AMOUNT, multipleOf=0.000001, examples=[50])
]
"""What may be spent in all that somebody asks for."""

Credits = Annotated[
    int, PlainSerializer(lambda amount: orjson.Fragment(format_credits(amount))), _schema(examples=[99.999864])
]
"""An amount that we show; write the document with ``json_response``."""


def json_response(document: BaseModel, status: int = 200) -> Response:
    """Answer with a document that has amounts in it, each exact to the last digit."""
    content = orjson.dumps(document.model_dump(by_alias=True), default=_plain, option=orjson.OPT_UTC_Z)
    return Response(content, status, media_type="application/json")


def read_amount(text: str) -> int:
    """Read a change of a balance as a person types it, in credits; raises InvalidInput."""
    try:
        return TypeAdapter(Amount).validate_python(_typed(text))
    except ValidationError as error:
        (problem,) = error.errors()
        raise InvalidInput([FieldProblem(problem["type"], ("amount",), problem["msg"], text)]) from None


def _typed(text: str) -> Decimal | None:
    try:
        return Decimal(text)
    except InvalidOperation:
        return None


def _plain(value: Any) -> str:
    if isinstance(value, UUID):  # asyncpg's are a class of their own, which orjson does not know
        return str(value)
    raise TypeError(f"{type(value).__name__} is no JSON")
