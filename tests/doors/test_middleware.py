"""What every request passes: ids, headers, limits of the body, the access log. Over real connections."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from fastapi import FastAPI, Request, Response
from fastapi.responses import StreamingResponse

from telefonist.doors.errors import install_error_handlers
from telefonist.doors.middleware import RequestMiddleware
from telefonist.errors import NotFound
from telefonist.logs import get_logger
from tests.doors.conftest import Serve

LIMIT = 1000
LogLines = Callable[[], list[dict[str, Any]]]


def application(body_timeout: float = 30) -> RequestMiddleware:
    app = FastAPI(openapi_url=None)
    install_error_handlers(app)

    @app.post("/echo")
    async def echo(request: Request) -> dict[str, Any]:
        get_logger("route").info("echoing")
        body = await request.body()
        return {"length": len(body), "same": body == request.state.body, "id": request.state.request_id}

    @app.get("/page")
    async def page() -> Response:
        headers = {"content-security-policy": "default-src 'self'", "cache-control": "max-age=60"}
        return Response(b"page", headers=headers)

    @app.get("/missing")
    async def missing() -> None:
        raise NotFound("task_not_found", task_id="42")

    @app.get("/broken-stream")
    async def broken_stream() -> StreamingResponse:
        async def pieces() -> AsyncIterator[bytes]:
            yield b"first"
            raise RuntimeError("the model is gone")

        return StreamingResponse(pieces())

    return RequestMiddleware(app, body_limit=LIMIT, body_timeout=body_timeout)


@pytest.fixture
async def address(serve: Serve) -> str:
    return await serve(application())


@pytest.fixture
async def client(address: str) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=address) as client:
        yield client


@asynccontextmanager
async def connection(address: str) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    url = httpx.URL(address)
    reader, writer = await asyncio.open_connection(url.host, url.port)
    try:
        yield reader, writer
    finally:
        writer.close()
        await writer.wait_closed()


def head(*lines: str) -> bytes:
    return "\r\n".join(["POST /echo HTTP/1.1", "Host: localhost", *lines, "", ""]).encode()


async def status_of(reader: asyncio.StreamReader) -> int:
    async with asyncio.timeout(5):
        return int((await reader.readline()).split()[1])


async def access_lines(log_lines: LogLines, count: int = 1) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Wait for ``count`` lines of the access log; give them, and every other line of ours."""
    seen: list[dict[str, Any]] = []
    async with asyncio.timeout(5):
        while len([line for line in seen if line["event"] == "request"]) < count:
            seen += log_lines()
            await asyncio.sleep(0.005)
    ours = [line for line in seen if line["logger"] not in ("uvicorn.error", "httpx")]
    return [line for line in ours if line["event"] == "request"], [line for line in ours if line["event"] != "request"]


async def test_a_request_gets_an_id_of_its_own(client: httpx.AsyncClient) -> None:
    first, second = await client.post("/echo"), await client.post("/echo")
    assert uuid.UUID(first.headers["x-request-id"]).version == 7
    assert first.json()["id"] == first.headers["x-request-id"] != second.headers["x-request-id"]


@pytest.mark.parametrize("request_id", ["abc-123", "a" * 128, "Root=1-67891233-abcdef:12/x+y.z_"])
async def test_a_sane_id_of_the_client_is_kept(client: httpx.AsyncClient, request_id: str) -> None:
    response = await client.post("/echo", headers={"x-request-id": request_id})
    assert response.headers["x-request-id"] == response.json()["id"] == request_id


@pytest.mark.parametrize("request_id", ["", "two words", "a" * 129, '"quoted"', "a;b", "<script>"])
async def test_any_other_id_is_replaced(client: httpx.AsyncClient, request_id: str) -> None:
    response = await client.post("/echo", headers={"x-request-id": request_id})
    assert uuid.UUID(response.headers["x-request-id"]).version == 7


async def test_every_answer_carries_the_headers_of_safety(client: httpx.AsyncClient) -> None:
    for response in (
        await client.post("/echo"),
        await client.get("/nowhere"),
        await client.post("/echo", content=b"x" * 2000),
    ):
        assert response.headers["x-content-type-options"] == "nosniff"
        assert response.headers["referrer-policy"] == "no-referrer"
        assert response.headers["x-frame-options"] == "DENY"
        assert "frame-ancestors 'none'" in response.headers["content-security-policy"]
        assert response.headers["cache-control"] == "no-store"


async def test_a_route_can_set_its_own(client: httpx.AsyncClient) -> None:
    response = await client.get("/page")
    assert response.headers.get_list("content-security-policy") == ["default-src 'self'"]
    assert response.headers.get_list("cache-control") == ["max-age=60"]


async def test_the_access_log_has_one_line_for_each_request(client: httpx.AsyncClient, log_lines: LogLines) -> None:
    response = await client.post("/echo?api_key=abcdef", content=b"secret text", headers={"x-request-id": "r-1"})
    assert response.status_code == 200
    (line,), (route_line,) = await access_lines(log_lines)
    assert (line["method"], line["path"], line["status"], line["request_id"]) == ("POST", "/echo", 200, "r-1")
    assert 0 < line["ms"] < 5000
    assert route_line["request_id"] == "r-1"
    assert "abcdef" not in str(line)
    assert "secret text" not in str(line)


async def test_a_path_cannot_forge_a_line_of_the_log(client: httpx.AsyncClient, log_lines: LogLines) -> None:
    await client.get("/%0A%1B[31mall-is-well" + "x" * 1000)
    (line,), _ = await access_lines(log_lines)
    assert line["path"].startswith("/%0A%1B[31mall-is-well")
    assert len(line["path"]) == 300


async def test_requests_of_one_connection_do_not_share_their_log_context(address: str, log_lines: LogLines) -> None:
    async with connection(address) as (reader, writer):
        missing = b"GET /missing HTTP/1.1\r\nHost: localhost\r\n\r\n"
        writer.write(missing + head("Content-Length: 2", "Connection: close") + b"{}")
        async with asyncio.timeout(5):
            await reader.read()
    (first, second), (route_line,) = await access_lines(log_lines, 2)
    assert (first["status"], first["error"]) == (404, "task_not_found")
    assert second["status"] == 200
    assert "error" not in second
    assert route_line["request_id"] == second["request_id"] != first["request_id"]


@pytest.mark.parametrize("length", [0, 1, LIMIT])
async def test_a_body_up_to_the_limit_reaches_the_route_whole(client: httpx.AsyncClient, length: int) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(length):
            yield b"x"

    declared = await client.post("/echo", content=b"x" * length)
    chunked = await client.post("/echo", content=pieces())
    assert declared.json()["length"] == chunked.json()["length"] == length
    assert declared.json()["same"]
    assert chunked.json()["same"]


async def test_a_declared_length_over_the_limit_is_refused_at_once(address: str) -> None:
    async with connection(address) as (reader, writer):
        writer.write(head(f"Content-Length: {LIMIT + 1}", "Accept-Language: ru"))
        assert await status_of(reader) == 413
        async with asyncio.timeout(5):
            headers = await reader.readuntil(b"\r\n\r\n")
            body = await reader.readuntil(b"}")
    assert b"connection: close" in headers
    assert f"больше {LIMIT} байт".encode() in body


async def test_who_asks_before_sending_is_not_told_to_go_on(address: str) -> None:
    async with connection(address) as (reader, writer):
        writer.write(head(f"Content-Length: {LIMIT + 1}", "Expect: 100-continue"))
        assert await status_of(reader) == 413
    async with connection(address) as (reader, writer):
        writer.write(head("Content-Length: 2", "Expect: 100-continue"))
        assert await status_of(reader) == 100
        writer.write(b"{}")
        await reader.readline()
        assert await status_of(reader) == 200


async def test_a_chunked_body_is_counted_while_it_arrives(address: str) -> None:
    async with connection(address) as (reader, writer):
        writer.write(head("Transfer-Encoding: chunked"))
        chunk = b"100\r\n" + b"x" * 256 + b"\r\n"
        for _ in range(3):
            writer.write(chunk)
            await writer.drain()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.02):
                await reader.readline()
        writer.write(chunk)  # 1024 bytes: over the limit, and the body is not over
        assert await status_of(reader) == 413


@pytest.mark.parametrize("chunked", [True, False])
async def test_a_client_that_sends_everything_first_can_still_read_the_refusal(
    client: httpx.AsyncClient, chunked: bool
) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(64):
            yield b"x" * 65_536

    response = await client.post("/echo", content=pieces() if chunked else b"x" * (4 << 20))
    assert response.status_code == 413
    assert response.json()["code"] == "payload_too_large"


@pytest.mark.parametrize("framing", ["Content-Length: 100", "Transfer-Encoding: chunked"])
async def test_a_body_that_does_not_come_in_time_is_given_up(serve: Serve, log_lines: LogLines, framing: str) -> None:
    async with connection(await serve(application(body_timeout=0.05))) as (reader, writer):
        writer.write(head(framing) + (b"5\r\nfirst\r\n" if "chunked" in framing else b"first"))
        assert await status_of(reader) == 408
        async with asyncio.timeout(5):
            assert b'within 0.05 s.","code":"body_timeout"' in await reader.readuntil(b"}")
    (line,), others = await access_lines(log_lines)
    assert (line["status"], line["error"]) == (408, "body_timeout")
    assert others == []


async def test_a_client_that_leaves_half_way_is_not_a_failure(address: str, log_lines: LogLines) -> None:
    async with connection(address) as (_, writer):
        writer.write(head("Content-Length: 100") + b"first")
        await writer.drain()
    (line,), others = await access_lines(log_lines)
    assert (line["status"], line["level"]) == (499, "info")
    assert others == []


async def test_a_stream_that_fails_is_cut_off_and_logged(client: httpx.AsyncClient, log_lines: LogLines) -> None:
    with pytest.raises(httpx.RemoteProtocolError):
        await client.get("/broken-stream")
    (line,), (failure,) = await access_lines(log_lines)
    assert line["status"] == 200
    assert (failure["event"], failure["level"]) == ("request_failed", "error")
    assert "the model is gone" in failure["exception"]


async def test_a_connection_is_kept_after_an_ordinary_request(address: str) -> None:
    async with connection(address) as (reader, writer):
        for _ in range(3):
            writer.write(head("Content-Length: 2") + b"{}")
            assert await status_of(reader) == 200
            async with asyncio.timeout(5):
                headers = await reader.readuntil(b"\r\n\r\n")
                assert b"connection: close" not in headers
                await reader.readuntil(b"}")
