"""From an upstream's refusal to the one error of ours that says what it means."""

import math
from collections.abc import Mapping, Sequence
from datetime import UTC
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any

import orjson

from telefonist.errors import (
    ProviderCredentialsRefused,
    ProviderError,
    ProviderFailed,
    ProviderOutOfFunds,
    ProviderProtocolError,
    ProviderRateLimited,
    ProviderRejectedRequest,
)
from telefonist.providers.redaction import reason_from
from telefonist.types import utc_now

_REPEATABLE_4XX = frozenset({408, 409, 425})
"""Request Timeout, Conflict and Too Early speak of the moment, not of the request: OpenAI's clients repeat them."""

_OUT_OF_FUNDS = frozenset({"insufficient_quota", "billing_hard_limit_reached", "billing_not_active"})
"""OpenAI answers an empty account with 429 and one of these codes; waiting would not help."""

_RATE_LIMITED = frozenset({"rate_limit_exceeded", "rate_limit_error", "tokens", "requests"})


def from_response(
    provider: str, status: int, headers: Mapping[str, str], body: bytes, secrets: Sequence[str] = ()
) -> ProviderError:
    """Give the error that an HTTP answer other than 200 stands for, with the provider's own explanation in it.

    The groups are those of the tree in ``errors.py``. A redirect is no answer: following it would hand our key to
    an address that nobody configured.
    """
    if 300 <= status < 400:
        return ProviderProtocolError(provider, reason=f"a redirect ({status}); set the address it leads to")
    if status < 400:
        return ProviderProtocolError(provider, reason=f"status {status} instead of 200")
    error = _error_object(body)
    text = _explanation(error) if error is not None else body.decode(errors="replace")
    reason = reason_from(text, secrets) or _phrase(status)
    codes = _codes(error)
    return _by_status(provider, status, reason, codes, retry_after(headers))


def from_answer(provider: str, error: object, secrets: Sequence[str] = ()) -> ProviderError:
    """Give the error that arrived inside an answer with status 200.

    Groq sends ``{"error": {...}}`` as a chunk; OpenRouter a chunk with a top-level ``error`` whose ``code`` is the HTTP
    status it would have been. Without such a code it counts as a failure of the upstream.
    """
    reason = reason_from(_explanation(error), secrets) or "an error without an explanation"
    codes = _codes(error)
    status = next((int(code) for code in codes if code.isdecimal() and 400 <= int(code[:4]) < 600), None)
    if status is not None:
        return _by_status(provider, status, reason, codes, None)
    if codes & _OUT_OF_FUNDS:
        return ProviderOutOfFunds(provider, reason=reason)
    if codes & _RATE_LIMITED:
        return ProviderRateLimited(provider, reason=reason)
    return ProviderFailed(provider, status=200, reason=reason)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Read ``Retry-After`` as seconds from now; None where it is missing or makes no sense.

    Source: RFC 9110, section 10.2.3 (delay-seconds or an HTTP date; fractions occur in the field), and OpenAI's
    ``retry-after-ms``, which is the finer of the two.
    """
    milliseconds = _number(headers.get("retry-after-ms", ""))
    if milliseconds is not None:
        return milliseconds / 1000
    value = headers.get("retry-after", "").strip()
    seconds = _number(value)
    if seconds is not None or not value:
        return seconds
    try:
        when = parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return None
    if when.tzinfo is None:
        when = when.replace(tzinfo=UTC)
    return max(0.0, (when - utc_now()).total_seconds())


def _by_status(provider: str, status: int, reason: str, codes: frozenset[str], wait: float | None) -> ProviderError:
    if status in (401, 403):
        return ProviderCredentialsRefused(provider, status=status, reason=reason)
    if status == 402 or (status == 429 and codes & _OUT_OF_FUNDS):
        return ProviderOutOfFunds(provider, reason=reason)
    if status == 429:
        return ProviderRateLimited(provider, retry_after=wait, reason=reason)
    if status >= 500 or status in _REPEATABLE_4XX:
        return ProviderFailed(provider, retry_after=wait, status=status, reason=reason)
    return ProviderRejectedRequest(provider, status=status, reason=reason)


def _error_object(body: bytes) -> object:
    """Find the error in a refusal's body; None when the body is not JSON."""
    try:
        decoded = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    if isinstance(decoded, list) and decoded:  # Gemini's compatible endpoint wraps its error in a list
        decoded = decoded[0]
    if isinstance(decoded, dict):
        return decoded.get("error") or decoded
    return decoded


def _explanation(error: object, depth: int = 3) -> str:
    """Find the words in an error object of whatever dialect, ``depth`` levels down at most."""
    if isinstance(error, str):
        return error
    if not isinstance(error, dict) or not depth:
        return _as_text(error)
    for key in ("message", "detail", "error_description", "error"):
        if error.get(key):
            words = _explanation(error[key], depth - 1)
            metadata = error.get("metadata")
            if isinstance(metadata, dict) and isinstance(metadata.get("raw"), str):
                words = f"{words}: {metadata['raw']}"  # OpenRouter keeps what the model's host said here
            return words
    return _as_text(error)


def _as_text(value: Any) -> str:
    return orjson.dumps(value, default=str).decode()


def _codes(error: object) -> frozenset[str]:
    if not isinstance(error, dict):
        return frozenset()
    return frozenset(str(error[key]) for key in ("code", "type", "status") if isinstance(error.get(key), (str, int)))


def _number(value: str) -> float | None:
    try:
        number = float(value)
    except ValueError:
        return None
    return number if math.isfinite(number) and number >= 0 else None


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return f"status {status}"
