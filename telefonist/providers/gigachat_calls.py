"""Function calls between OpenAI's form, which has ids, and GigaChat's, which has none; pure functions, no I/O.

GigaChat wants the ``functions_state_id`` of its call back with the result, and OpenAI clients keep nothing of a call
but its id. So the id that we make up holds it: ``giga_``, the 16 bytes of that UUID and nine random ones in URL-safe
base64, which together are 39 characters of the 40 that OpenAI allows.
"""

import base64
import binascii
import secrets
from collections.abc import Mapping
from typing import Any, NamedTuple
from uuid import UUID

import orjson

from telefonist.errors import ProviderRejectedRequest
from telefonist.types import Json

_PREFIX = "giga_"
_STATE_BYTES = 16
_RANDOM_BYTES = 9


class Call(NamedTuple):
    """A call that a model made earlier; ``id`` is empty where it was made in the form that has none."""

    id: str
    name: str
    arguments: dict[str, Any]


def make_id(state: object) -> str:
    """Make up the id of a call; it holds ``state`` where that is a UUID, as GigaChat documents it."""
    try:
        kept = UUID(state).bytes if isinstance(state, str) else None
    except ValueError:
        kept = None
    if kept is None:
        return f"call_{secrets.token_urlsafe(18)}"
    return _PREFIX + base64.urlsafe_b64encode(kept).rstrip(b"=").decode() + secrets.token_urlsafe(_RANDOM_BYTES)


def state_in(call_id: str) -> str | None:
    """Give the ``functions_state_id`` that an id of ours holds; None for any other id."""
    kept = call_id.removeprefix(_PREFIX)[:22]
    if not call_id.startswith(_PREFIX) or len(kept) < 22:
        return None
    try:
        return str(UUID(bytes=base64.urlsafe_b64decode(f"{kept}==")))
    except (binascii.Error, ValueError):
        return None


def calls_of(provider: str, message: Json) -> list[Call]:
    """Give the calls in an answer; raises ProviderRejectedRequest where the arguments are no JSON object."""
    calls = message.get("tool_calls")
    if isinstance(calls, list) and calls:
        return [_call(provider, call.get("id"), call.get("function")) for call in calls if isinstance(call, Mapping)]
    legacy = message.get("function_call")
    return [_call(provider, None, legacy)] if legacy else []


def _call(provider: str, call_id: object, function: object) -> Call:
    name = function.get("name") if isinstance(function, Mapping) else None
    if not isinstance(function, Mapping) or not isinstance(name, str):
        raise ProviderRejectedRequest(provider, status=400, reason="a tool call that is no function's")
    arguments = function.get("arguments") or "{}"
    try:
        decoded = orjson.loads(arguments) if isinstance(arguments, str) else arguments
    except orjson.JSONDecodeError:
        decoded = None
    if not isinstance(decoded, dict):
        reason = f"the arguments of an earlier call of {name[:100]} are no JSON object"
        raise ProviderRejectedRequest(provider, status=400, reason=reason)
    return Call(str(call_id or ""), name, decoded)
