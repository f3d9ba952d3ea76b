"""JSON bodies without secrets: a refusal names each field that is wrong and shows what was sent in it."""

from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from telefonist.errors import FieldProblem, InvalidInput

Body = TypeVar("Body", bound=BaseModel)


def read_body(body: bytes, model: type[Body]) -> Body:
    """Read a JSON body; raises InvalidInput with every problem in FastAPI's terms."""
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        raise InvalidInput([_problem(detail) for detail in error.errors(include_url=False)]) from None


def _problem(detail: Any) -> FieldProblem:
    context = {name: str(value) for name, value in detail.get("ctx", {}).items()} or None
    if detail["type"] == "json_invalid":
        return FieldProblem("json_invalid", ("body",), "The body is not valid JSON.", None, context)
    return FieldProblem(detail["type"], ("body", *detail["loc"]), detail["msg"], detail["input"], context)
