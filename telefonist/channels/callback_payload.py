"""What a callback says: the JSON body that receivers rely on."""

from datetime import datetime
from typing import Literal
from uuid import UUID

import orjson

from telefonist.types import Failure, Usage


def callback_payload(
    *,
    task_id: UUID | None,
    message_id: UUID,
    conversation_id: str,
    status: Literal["succeeded", "failed", "waiting_for_operator"],
    text: str | None,
    author: Literal["bot", "operator"],
    model: str | None,
    usage: Usage | None,
    failure: Failure | None,
    metadata: str | None,
    created_at: datetime,
    final: bool = True,
) -> bytes:
    """Write a callback's body; ``metadata`` is the client's own JSON text, put back as it came.

    The body is made once and stored, so that every attempt sends, and signs, the same bytes.
    """
    return orjson.dumps(
        {
            "task_id": None if task_id is None else str(task_id),
            "message_id": str(message_id),
            "conversation_id": conversation_id,
            "status": status,
            "final": final,
            "generated_response": text,
            "author": author,
            "model": model,
            "usage": None if usage is None else usage_fields(usage),
            "error": failure,
            "metadata": None if metadata is None else orjson.Fragment(metadata),
            "created_at": created_at,
        }
    )


def usage_fields(usage: Usage) -> dict[str, int | bool]:
    """Give a usage in OpenAI's terms, and whether it was counted or estimated."""
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.total_tokens,
        "cached_tokens": usage.cached_tokens,
        "estimated": usage.estimated,
    }
