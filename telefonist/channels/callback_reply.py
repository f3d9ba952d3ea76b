"""What is kept of a receiver's reply, and how little of it is read."""

import re
import zlib
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus

import aiohttp

READ_LIMIT = 64 * 1024
"""Bytes of a body that are read; a connection with more to come is closed, not drained."""

READ_PIECE = 16 * 1024
"""Bytes that are read at once; twice as many are buffered before the sender is held back."""

RECORDED = 1024
"""Bytes of a body that are recorded, after inflating."""

LONGEST_RETRY_AFTER = 30 * 24 * 3600.0

_KEPT = 4 * RECORDED
_ZLIB_OR_GZIP = zlib.MAX_WBITS | 32
_BARE_DEFLATE = -zlib.MAX_WBITS
_INFLATABLE = ("gzip", "x-gzip", "deflate")
_SINGLE_BYTE_CHARSET = re.compile(r"(windows-|cp|iso-8859-|koi8-)[0-9a-z]+", re.IGNORECASE)


async def read_reply(response: aiohttp.ClientResponse) -> str:
    """Read a reply's body up to the limit and give its first 1 KB as text that PostgreSQL can store.

    A compressed body, though it was not asked for, is inflated no further than that. A body that is late, broken or
    endless gives what there is of it: the status has already decided.
    """
    kept = b""
    received = 0
    try:
        while received < READ_LIMIT:
            chunk = await response.content.read(min(READ_PIECE, READ_LIMIT - received))
            if not chunk:
                break
            received += len(chunk)
            if len(kept) < _KEPT:
                kept += chunk[:_KEPT]
    except (aiohttp.ClientError, aiohttp.http_exceptions.HttpProcessingError, OSError):
        pass
    if not kept:
        return ""
    if response.headers.get("Content-Encoding", "").strip().lower() in _INFLATABLE:
        kept = _inflate(kept)
    return _text(kept, response.charset or "")


def retry_after(response: aiohttp.ClientResponse, now: datetime) -> float | None:
    """Give the seconds a receiver asked us to wait: with 429 and 503, as a number or a date (RFC 9110, 10.2.3)."""
    if response.status not in (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE):
        return None
    value = response.headers.get("Retry-After", "").strip()
    if value.isascii() and value.isdecimal():
        return min(float(value[:20]), LONGEST_RETRY_AFTER)
    try:
        until = parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return None
    if until.tzinfo is None:
        until = until.replace(tzinfo=UTC)
    return min(max((until - now).total_seconds(), 0.0), LONGEST_RETRY_AFTER)


def _inflate(data: bytes) -> bytes:
    for window in (_ZLIB_OR_GZIP, _BARE_DEFLATE):
        try:
            return zlib.decompressobj(window).decompress(data, RECORDED + 1)
        except zlib.error:
            continue
    return data


def _text(data: bytes, charset: str) -> str:
    cut = data[:RECORDED]
    encoding = charset if _SINGLE_BYTE_CHARSET.fullmatch(charset) else "utf-8"
    try:
        text = cut.decode(encoding, errors="replace")
    except LookupError:
        text = cut.decode(errors="replace")
    if len(cut) < len(data):
        text = text.rstrip("\ufffd")
    return text.replace("\x00", "\ufffd").encode(errors="replace").decode()
