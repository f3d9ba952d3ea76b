"""``transfer_to_operator``: the tool by which a model calls a person itself."""

from collections.abc import Mapping
from typing import Any

import orjson

from telefonist.types import Json

NAME = "transfer_to_operator"

LONGEST_REASON = 500
"""Characters of the model's reason that are kept."""

TOOL: Json = {
    "type": "function",
    "function": {
        "name": NAME,
        "description": "Hand the conversation over to a human operator. Call it when the user asks for a person, or "
        "when only a person can do what they need. The user is told by the system; say nothing else.",
        "parameters": {
            "type": "object",
            "properties": {"reason": {"type": "string", "description": "Why, in a few words for the operator."}},
            "required": [],
        },
    },
}


def called_for(body: Json) -> str | None:
    """Give the reason with which a model called the tool, empty where it gave none; None where it did not call it.

    ``body`` is the answer in OpenAI's shape, with arguments as the model wrote them.
    """
    for choice in body.get("choices") or ():
        for call in (choice.get("message") or {}).get("tool_calls") or ():
            function = call.get("function") or {}
            if function.get("name") == NAME:
                return _reason(function.get("arguments"))
    return None


def _reason(arguments: Any) -> str:
    if isinstance(arguments, str):
        try:
            arguments = orjson.loads(arguments)
        except orjson.JSONDecodeError:
            return ""
    reason = arguments.get("reason") if isinstance(arguments, Mapping) else None
    return reason.replace("\x00", "")[:LONGEST_REASON] if isinstance(reason, str) else ""
