"""The envelope of errors at the HTTP doors: FastAPI's ``detail``, in the caller's language, with a stable ``code``.

Validation errors keep FastAPI's list under ``detail`` and show the received ``body`` beside it. What the request was
comes from ``RequestMiddleware``, which must stand before the application.
"""

from collections.abc import Iterable, Mapping
from math import ceil
from typing import Any

import orjson
import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import Scope

from telefonist import texts
from telefonist.doors import openai_errors
from telefonist.doors.answer_headers import limit_headers
from telefonist.errors import CredentialsRefused, FieldProblem, InvalidInput, TelefonistError
from telefonist.logs import get_logger
from telefonist.types import Language

log = get_logger(__name__)

_FRAMEWORK_TEXTS = {400: "unreadable_body", 404: "route_not_found", 405: "method_not_allowed"}
_DEEPEST = 50


def install_error_handlers(app: FastAPI) -> None:
    """Answer every error that the routes of ``app`` raise; what nobody foresaw is logged by ``RequestMiddleware``."""
    app.exception_handler(TelefonistError)(_on_telefonist_error)
    app.exception_handler(RequestValidationError)(_on_validation_error)
    app.exception_handler(HTTPException)(_on_http_exception)
    app.exception_handler(Exception)(_on_unforeseen)


def error_response(error: TelefonistError, request: Request) -> Response:
    """Give the answer for an error, with Retry-After in whole seconds on 429 and 503 (RFC 9110, section 10.2.3).

    An error with status 500 is a mistake of ours: its text stays in the log, and the caller gets the request id.
    """
    language = _language(request)
    if speaks_openai(request.scope):
        shown = TelefonistError() if error.status == 500 else error
        return _response(openai_errors.status_of(error), openai_errors.error_body(shown, language), _headers(error))
    if isinstance(error, InvalidInput):
        return _validation_response([_described(problem) for problem in error.problems], request)
    content: dict[str, Any] = {"detail": error.text(language), "code": error.code}
    if error.status == 500:
        detail = texts.render("internal_error", language)
        content = {"detail": detail, "code": "internal_error", "request_id": getattr(request.state, "request_id", None)}
    return _response(error.status, content, _headers(error))


def _headers(error: TelefonistError) -> dict[str, str]:
    headers = limit_headers(error.values.get("outcomes", {}))
    if error.status in (429, 503) and "seconds" in error.values:
        headers["retry-after"] = str(max(1, ceil(error.values["seconds"])))
    if error.status == 401:
        headers["www-authenticate"] = challenge(error)
    return headers


def challenge(error: TelefonistError) -> str:
    """Say how to show who one is, and whether what was shown is the trouble (RFC 6750, section 3)."""
    return 'Bearer error="invalid_token"' if isinstance(error, CredentialsRefused) else "Bearer"


async def _on_telefonist_error(request: Request, error: TelefonistError) -> Response:
    if error.status == 500:
        log.error("request_failed", exc_info=error)
    return error_response(error, request)


async def _on_validation_error(request: Request, error: RequestValidationError) -> Response:
    if speaks_openai(request.scope):
        problems = [FieldProblem(found["type"], found["loc"], found["msg"]) for found in error.errors()]
        return error_response(InvalidInput(problems), request)
    return _validation_response(error.errors(), request)


async def _on_http_exception(request: Request, error: HTTPException) -> Response:
    headers = dict(error.headers or {})
    code = _FRAMEWORK_TEXTS.get(error.status_code)
    if code is None:
        return _response(error.status_code, {"detail": error.detail, "code": f"http_{error.status_code}"}, headers)
    values = {"path": request.url.path[:200], "method": request.method, "allowed": headers.get("Allow", "")}
    detail = texts.render(code, _language(request), values)
    if speaks_openai(request.scope):
        return _response(error.status_code, openai_errors.envelope(error.status_code, detail, code), headers)
    return _response(error.status_code, {"detail": detail, "code": code}, headers)


async def _on_unforeseen(request: Request, _error: Exception) -> Response:
    return error_response(TelefonistError(), request)


def _described(problem: FieldProblem) -> dict[str, Any]:
    described = {"type": problem.type, "loc": problem.loc, "msg": problem.msg, "input": problem.input}
    return described if problem.ctx is None else {**described, "ctx": problem.ctx}


def _validation_response(problems: Iterable[Mapping[str, Any]], request: Request) -> Response:
    fields = ("type", "loc", "msg", "input", "ctx")
    detail = [{name: problem[name] for name in fields if name in problem} for problem in problems]
    try:
        shown = orjson.Fragment(orjson.dumps(detail))
    except TypeError:
        shown = orjson.Fragment(orjson.dumps(_plain(detail)))
    structlog.contextvars.bind_contextvars(error="invalid_input")
    return _response(422, {"detail": shown, "body": _received(getattr(request.state, "body", b""))})


def _received(body: bytes) -> Any:
    """Show the body as JSON just as it came if it is JSON (RFC 8259: no NaN, no lone surrogates), else as text."""
    if not body:
        return None
    try:
        orjson.loads(body)
    except orjson.JSONDecodeError:
        return body.decode("utf-8", "backslashreplace")
    return orjson.Fragment(body)


def _plain(value: Any, depth: int = 0) -> Any:
    """Turn a value that JSON cannot encode into the nearest one that it can."""
    if value is None or isinstance(value, bool | float):
        return value
    if isinstance(value, int):
        return value if -(1 << 63) <= value < 1 << 64 else str(value)
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    if isinstance(value, Mapping | list | tuple) and depth >= _DEEPEST:
        return "…"
    if isinstance(value, Mapping):
        return {_plain(str(key)): _plain(item, depth + 1) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item, depth + 1) for item in value]
    return str(value).encode("utf-8", "backslashreplace").decode()


def speaks_openai(scope: Scope) -> bool:
    """Say whether the client expects OpenAI's envelope."""
    return bool(scope["path"].startswith(openai_errors.PREFIX))


def _response(status: int, content: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> Response:
    code = content["code"] if "code" in content else content.get("error", {}).get("code")
    if code is not None:
        structlog.contextvars.bind_contextvars(error=code)
    return Response(orjson.dumps(content), status, headers, "application/json")


def _language(request: Request) -> Language:
    return texts.preferred_language(request.headers.get("accept-language"))
