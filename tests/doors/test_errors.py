"""What a caller gets when something goes wrong."""

import json
from collections.abc import Callable
from typing import Any, Literal

import httpx
import pytest
from fastapi import FastAPI, HTTPException
from pydantic import BaseModel, HttpUrl, field_validator

from telefonist.doors.errors import install_error_handlers
from telefonist.doors.middleware import RequestMiddleware
from telefonist.errors import (
    AuthenticationRequired,
    ConfigurationError,
    FieldProblem,
    InvalidInput,
    LeaseLost,
    NotFound,
    ProviderRejectedRequest,
    ProviderTimeout,
    RateLimited,
    TelefonistError,
    Unavailable,
)
from tests.doors.conftest import Serve

LogLines = Callable[[], list[dict[str, Any]]]


class Question(BaseModel):
    message: str
    callback_url: HttpUrl
    mood: Literal["good"] = "good"

    @field_validator("message")
    @classmethod
    def _is_not_blank(cls, message: str) -> str:
        if not message.strip():
            raise ValueError("say something")
        return message


def application(error: Exception | None = None) -> RequestMiddleware:
    app = FastAPI(openapi_url=None)
    install_error_handlers(app)

    @app.get("/fail")
    async def fail() -> None:
        if error is not None:
            raise error

    @app.post("/question")
    async def ask(question: Question) -> dict[str, str]:
        return {"message": question.message}

    @app.post("/own-check")
    async def own_check() -> None:
        if error is not None:
            raise error

    return RequestMiddleware(app, body_limit=1_000_000)


async def get(serve: Serve, error: Exception, language: str = "en") -> httpx.Response:
    async with httpx.AsyncClient(base_url=await serve(application(error))) as client:
        return await client.get("/fail", headers={"accept-language": language})


async def post(serve: Serve, content: bytes, path: str = "/question", error: Exception | None = None) -> httpx.Response:
    async with httpx.AsyncClient(base_url=await serve(application(error))) as client:
        return await client.post(path, content=content, headers={"content-type": "application/json"})


async def test_an_error_speaks_the_callers_language(serve: Serve) -> None:
    russian = await get(serve, NotFound("task_not_found", task_id="42"), "ru-RU,ru;q=0.9")
    english = await get(serve, NotFound("task_not_found", task_id="42"), "de, en;q=0.5")
    assert (russian.status_code, english.status_code) == (404, 404)
    assert russian.json() == {"detail": "Задача 42 не найдена.", "code": "task_not_found"}
    assert english.json() == {"detail": "Task 42 was not found.", "code": "task_not_found"}


@pytest.mark.parametrize(
    ("error", "status", "retry_after"),
    [
        (RateLimited(limit="5/minute", seconds=12), 429, "12"),
        (RateLimited(limit="5/minute", seconds=11.2), 429, "12"),
        (Unavailable(seconds=0), 503, "1"),
        (Unavailable("shutting_down", seconds=5), 503, "5"),
        (ProviderTimeout("demo", seconds=60, phase="headers"), 504, None),
        (ProviderRejectedRequest("demo", status=418, reason="no"), 400, None),
    ],
)
async def test_retry_after_stands_where_it_helps(
    serve: Serve, error: TelefonistError, status: int, retry_after: str | None
) -> None:
    response = await get(serve, error)
    assert response.status_code == status
    assert response.headers.get("retry-after") == retry_after
    assert response.json()["code"] == error.code


async def test_a_401_says_how_to_show_who_one_is_and_why_it_was_needed(serve: Serve) -> None:
    response = await get(serve, AuthenticationRequired(why="why_public_url"), "ru")
    assert response.status_code == 401
    assert response.headers["www-authenticate"] == "Bearer"
    assert "у сервиса есть публичный адрес" in response.json()["detail"]


async def test_a_bad_callback_url_is_shown_exactly_as_documented(serve: Serve) -> None:
    body = {"message": "text", "callback_url": "hйцуttp://web:8000/callback"}
    response = await post(serve, json.dumps(body).encode())
    assert response.status_code == 422
    assert response.json() == {
        "detail": [
            {
                "type": "url_parsing",
                "loc": ["body", "callback_url"],
                "msg": "Input should be a valid URL, relative URL without a base",
                "input": "hйцуttp://web:8000/callback",
                "ctx": {"error": "relative URL without a base"},
            }
        ],
        "body": body,
    }


async def test_our_own_checks_answer_in_the_same_form(serve: Serve) -> None:
    problems = [
        FieldProblem("url_parsing", ("body", "callback_url"), "no", "x", {"error": "relative URL without a base"}),
        FieldProblem("missing", ("body", "messages", 0), "Field required"),
    ]
    response = await post(serve, b'{"callback_url": "x"}', "/own-check", InvalidInput(problems))
    assert response.status_code == 422
    assert response.json() == {
        "detail": [
            {
                "type": "url_parsing",
                "loc": ["body", "callback_url"],
                "msg": "no",
                "input": "x",
                "ctx": {"error": "relative URL without a base"},
            },
            {"type": "missing", "loc": ["body", "messages", 0], "msg": "Field required", "input": None},
        ],
        "body": {"callback_url": "x"},
    }


DEEP = b'{"callback_url": ' + b"[" * 400 + b"]" * 400 + b"}"


@pytest.mark.parametrize(
    ("content", "shown"),
    [
        (b'{"message": NaN}', '{"message": NaN}'),
        (b'{"message": -Infinity, "callback_url": 1}', '{"message": -Infinity, "callback_url": 1}'),
        (rb'{"message": "\ud800"}', r'{"message": "\ud800"}'),
        (b'{"message": 123456789012345678901234567890}', {"message": 123456789012345678901234567890}),
        (
            b'{"message": "x", "callback_url": {"deep": [1, null]}}',
            {"message": "x", "callback_url": {"deep": [1, None]}},
        ),
        (DEEP, json.loads(DEEP)),
        (b"{", "{"),
        (b"message=text", "message=text"),
        (b'"text"', "text"),
        (b"", None),
        (b'{"message": " ", "callback_url": "http://h/"}', {"message": " ", "callback_url": "http://h/"}),
        (rb'{"message": "a", "mood": "\udfff"}', r'{"message": "a", "mood": "\udfff"}'),
    ],
)
async def test_whatever_the_body_holds_the_answer_is_a_422_that_shows_it(
    serve: Serve, content: bytes, shown: Any
) -> None:
    response = await post(serve, content)
    assert response.status_code == 422
    answer = response.json()
    assert answer["body"] == shown
    assert {"type", "loc", "msg", "input"} <= set(answer["detail"][0])
    assert answer["detail"][0]["loc"][0] == "body"


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b'{"message": "\xff"}', b"[" * 100_000])
async def test_a_body_that_cannot_be_read_is_the_callers_error(serve: Serve, content: bytes) -> None:
    response = await post(serve, content)
    assert response.status_code in (400, 422)
    assert response.json()["detail"]


async def test_values_that_json_cannot_encode_are_shown_as_text(serve: Serve) -> None:
    values = [b"\xff", "\ud800", 1 << 70, float("nan"), {1: {"\udfff": object}}, ValueError("why")]
    problem = FieldProblem("odd", ("body",), "odd", values, {"error": ValueError("\ud800")})
    response = await post(serve, b"\xff", "/own-check", InvalidInput([problem]))
    assert response.status_code == 422
    detail = response.json()["detail"][0]
    odd = {"1": {r"\udfff": "<class 'object'>"}}
    assert detail["input"] == [r"\xff", r"\ud800", str(1 << 70), None, odd, "why"]
    assert detail["ctx"] == {"error": r"\ud800"}
    assert response.json()["body"] == r"\xff"


async def test_a_query_error_has_no_body_to_show(serve: Serve) -> None:
    app = FastAPI(openapi_url=None)
    install_error_handlers(app)

    @app.get("/")
    async def index(limit: int) -> int:
        return limit

    async with httpx.AsyncClient(base_url=await serve(RequestMiddleware(app, body_limit=10))) as client:
        response = await client.get("/?limit=many")
    assert response.status_code == 422
    assert response.json()["detail"][0]["loc"] == ["query", "limit"]
    assert response.json()["body"] is None


async def test_an_unknown_address_and_a_wrong_method_use_the_same_envelope(serve: Serve) -> None:
    async with httpx.AsyncClient(base_url=await serve(application()), headers={"accept-language": "ru"}) as client:
        missing = await client.get("/nowhere")
        wrong = await client.put("/question")
    assert missing.status_code == 404
    assert missing.json() == {"detail": "Здесь ничего нет: /nowhere. Список адресов: /docs.", "code": "route_not_found"}
    assert wrong.status_code == 405
    assert wrong.headers["allow"] == "POST"
    assert wrong.json() == {"detail": "Метод PUT здесь не подходит. Можно: POST.", "code": "method_not_allowed"}


async def test_a_frameworks_other_errors_keep_their_words_and_headers(serve: Serve) -> None:
    response = await get(serve, HTTPException(418, "short and stout", {"x-pot": "tea"}))
    assert response.status_code == 418
    assert response.headers["x-pot"] == "tea"
    assert response.json() == {"detail": "short and stout", "code": "http_418"}


@pytest.mark.parametrize(
    "error", [RuntimeError("password is hunter2"), ConfigurationError("password is hunter2"), LeaseLost()]
)
async def test_a_mistake_of_ours_shows_the_request_id_and_nothing_else(
    serve: Serve, log_lines: LogLines, error: Exception
) -> None:
    response = await get(serve, error)
    assert response.status_code == 500
    answer = response.json()
    assert answer["code"] == "internal_error"
    assert answer["request_id"] == response.headers["x-request-id"]
    assert "hunter2" not in response.text
    logged = [line for line in log_lines() if line["event"] == "request_failed"]
    assert len(logged) == 1
    assert logged[0]["request_id"] == answer["request_id"]
    assert type(error).__name__ in logged[0]["exception"]


async def test_the_access_log_names_the_error(serve: Serve, log_lines: LogLines) -> None:
    await get(serve, RateLimited(limit="5/minute", seconds=12))
    await post(serve, b"{}")
    assert [line["error"] for line in log_lines() if line["event"] == "request"] == ["rate_limited", "invalid_input"]
