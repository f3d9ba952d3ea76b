"""The webhook service that people would otherwise write: FastAPI takes the message, Celery on Redis answers it.

Web: ``uvicorn celery_webhook:web``; workers: ``celery -A celery_webhook worker``. It does less than Telefonist: no
signature, no address guard, no rate limit, no order within a conversation, nothing on disk before the 202.
"""

import json
import os
from typing import Annotated, Any

import httpx
from celery import Celery  # type: ignore[import-not-found]
from fastapi import FastAPI
from pydantic import BaseModel, Field, HttpUrl
from redis import Redis

MODEL_URL = os.environ["MODEL_URL"]
HISTORY_MESSAGES = 20
HISTORY_SECONDS = 24 * 3600

queue = Celery("webhook", broker=os.environ["REDIS_URL"])
queue.conf.update(task_ignore_result=True, task_acks_late=True)
redis = Redis.from_url(os.environ["REDIS_URL"])
http = httpx.Client(timeout=60)
web = FastAPI()


class WebhookRequest(BaseModel):
    """A message, and where its answer is to be sent."""

    message: Annotated[str, Field(min_length=1, max_length=20_000)]
    callback_url: HttpUrl
    conversation_id: Annotated[str, Field(alias="conversationId", min_length=1, max_length=512)]
    metadata: Any = None


@web.post("/webhook", status_code=202)
def accept(request: WebhookRequest) -> dict[str, str]:
    """Queue the message and give the receipt."""
    task = answer.delay(request.model_dump(mode="json"))
    return {"task_id": task.id, "status": "Processing", "conversation_id": request.conversation_id}


@queue.task(bind=True, autoretry_for=(httpx.HTTPError,), retry_backoff=True)  # type: ignore[untyped-decorator]
def answer(self: Any, request: dict[str, Any]) -> None:
    """Ask the model with the conversation's history and post what it says to the callback URL."""
    key = f"history:{request['conversation_id']}"
    question = {"role": "user", "content": request["message"]}
    history = [json.loads(message) for message in redis.lrange(key, -HISTORY_MESSAGES, -1)]
    reply = http.post(MODEL_URL, json={"model": "bench", "messages": [*history, question]}).raise_for_status().json()
    text = reply["choices"][0]["message"]["content"]
    with redis.pipeline() as together:
        together.rpush(key, json.dumps(question), json.dumps({"role": "assistant", "content": text}))
        together.expire(key, HISTORY_SECONDS)
        together.execute()
    callback = {
        "task_id": self.request.id,
        "conversation_id": request["conversation_id"],
        "status": "succeeded",
        "generated_response": text,
        "usage": reply["usage"],
        "metadata": request["metadata"],
    }
    http.post(request["callback_url"], json=callback).raise_for_status()
