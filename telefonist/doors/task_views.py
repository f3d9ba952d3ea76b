"""Tasks as JSON: what ``GET /tasks/{id}`` shows."""

import json
from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from telefonist.channels.callback_payload import usage_fields
from telefonist.types import DeliveryState, TaskState, TaskView


class AcceptedView(BaseModel):
    """The receipt of a webhook request."""

    task_id: UUID
    status: str = Field(examples=["Processing"])
    conversation_id: str = Field(examples=["first"])


class ErrorView(BaseModel):
    """Why there is no answer: a stable code for programs, a text for people."""

    model_config = ConfigDict(from_attributes=True)

    code: str
    message: str


class AttemptView(BaseModel):
    """One try to deliver; ``status`` is null when no answer came and ``error`` says why."""

    model_config = ConfigDict(from_attributes=True)

    started_at: datetime
    milliseconds: int
    status: int | None
    error: str | None
    response: str = Field(description="The first 1 KB of the receiver's reply.")


class DeliveryDocument(BaseModel):
    """Where the callback stands."""

    model_config = ConfigDict(from_attributes=True)

    message_id: UUID = Field(description="The webhook-id, the same over all attempts.")
    state: DeliveryState
    next_attempt_at: datetime | None


class TaskDocument(BaseModel):
    """A webhook task: its state, its answer or error, and every attempt to deliver."""

    task_id: UUID
    conversation_id: str
    state: TaskState
    model: str
    answered_by: str | None = Field(description="The model that answered, which may be a fallback.")
    message: str
    answer: str | None
    error: ErrorView | None
    usage: dict[str, int | bool] | None
    metadata: Any
    callback_url: str
    delivery: DeliveryDocument | None
    attempts: list[AttemptView]
    created_at: datetime
    finished_at: datetime | None


class TaskList(BaseModel):
    """One page of tasks; ``next_cursor`` leads to the page after, null at the end."""

    tasks: list[TaskDocument]
    next_cursor: UUID | None


def task_document(task: TaskView) -> TaskDocument:
    """Write a task as it is shown to its owner."""
    return TaskDocument(
        task_id=task.task_id,
        conversation_id=task.conversation_id,
        state=task.state,
        model=task.model,
        answered_by=task.answered_by,
        message=task.message,
        answer=task.answer,
        error=None if task.failure is None else ErrorView.model_validate(task.failure),
        usage=None if task.usage is None else usage_fields(task.usage),
        metadata=None if task.metadata is None else json.loads(task.metadata),
        callback_url=task.callback_url,
        delivery=None if task.delivery is None else DeliveryDocument.model_validate(task.delivery),
        attempts=[] if task.delivery is None else [AttemptView.model_validate(a) for a in task.delivery.attempts],
        created_at=task.created_at,
        finished_at=task.finished_at,
    )
