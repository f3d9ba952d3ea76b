"""OpenAI's envelope of errors, for everything below ``/v1/``: its clients raise their own exceptions by it.

Source: OpenAI API reference, "Error codes"; the ``openai`` package maps the status to an exception class and reads
``message``, ``type``, ``param`` and ``code`` of ``error``.
"""

from collections.abc import Mapping
from typing import Any

from telefonist.errors import InvalidInput, TelefonistError
from telefonist.types import Language

PREFIX = "/v1/"

TYPES: Mapping[int, str] = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "insufficient_quota",
    403: "permission_error",
    404: "invalid_request_error",
    405: "invalid_request_error",
    408: "invalid_request_error",
    409: "conflict_error",
    413: "invalid_request_error",
    422: "invalid_request_error",
    429: "rate_limit_error",
}
"""The ``type`` of an error by its status; from 500 on it is ``server_error``."""


def status_of(error: TelefonistError) -> int:
    """Give the status for an OpenAI client, which knows bad requests as 400."""
    return 400 if isinstance(error, InvalidInput) else error.status


def envelope(status: int, message: str, code: str | None, param: str | None = None) -> dict[str, Any]:
    """Put what went wrong into OpenAI's form."""
    return {"error": {"message": message, "type": TYPES.get(status, "server_error"), "param": param, "code": code}}


def error_body(error: TelefonistError, language: Language) -> dict[str, Any]:
    """Describe an error; a wrong request's ``param`` is the path of the first field that is wrong."""
    if isinstance(error, InvalidInput):
        first = error.problems[0]
        param = ".".join(str(part) for part in first.loc if part != "body") or None
        return envelope(400, "; ".join(problem.msg for problem in error.problems), first.type, param)
    param = "model" if error.code in ("model_not_found", "model_not_allowed", "model_kind_mismatch") else None
    return envelope(error.status, error.text(language), error.code, param)
