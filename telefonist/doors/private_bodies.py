"""Bodies that hold passwords and tokens: read so that no answer repeats them."""

from typing import Any, TypeVar
from urllib.parse import parse_qsl

from fastapi import Request
from pydantic import BaseModel, ValidationError

from telefonist.errors import FieldProblem, InvalidInput

MOST_FIELDS = 20

Body = TypeVar("Body", bound=BaseModel)


async def read_json(request: Request, model: type[Body]) -> Body:
    """Read a JSON body; raises InvalidInput, which names what is wrong and shows nothing of what was sent."""
    body = await _take(request)
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        raise _refusal(error) from None


async def read_form(request: Request, model: type[Body]) -> Body:
    """Read a form (``application/x-www-form-urlencoded``) as ``read_json`` reads JSON."""
    body = await _take(request)
    try:
        pairs = parse_qsl(body.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=MOST_FIELDS)
    except ValueError:
        text = "The body is not a form. Send application/x-www-form-urlencoded in UTF-8."
        raise InvalidInput([FieldProblem("form_invalid", ("body",), text)]) from None
    try:
        return model.model_validate(dict(pairs))
    except ValidationError as error:
        raise _refusal(error) from None


def described(model: type[BaseModel], media_type: str = "application/json") -> dict[str, Any]:
    """Describe the body in the API's document, as ``openapi_extra`` of its route."""
    return {"requestBody": {"required": True, "content": {media_type: {"schema": model.model_json_schema()}}}}


async def _take(request: Request) -> bytes:
    body = await request.body()
    request.state.body = b""  # which answers to wrong requests show
    return body


def _refusal(error: ValidationError) -> InvalidInput:
    return InvalidInput(
        [
            FieldProblem(detail["type"], ("body", *detail["loc"]), detail["msg"])
            for detail in error.errors(include_url=False, include_context=False, include_input=False)
        ]
    )
