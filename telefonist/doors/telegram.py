"""The Telegram door: updates come in, are stored, and are acknowledged at once."""

import hmac

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict

from telefonist.channels.telegram_updates import place_of
from telefonist.doors.public_bodies import read_body
from telefonist.doors.refusals import AWAY, OF_ANY_BODY, refusals
from telefonist.errors import AccessDenied, FieldProblem, InvalidInput
from telefonist.storage.telegram import TelegramUpdates

SECRET_HEADER = "X-Telegram-Bot-Api-Secret-Token"  # noqa: S105  the name of a header

PATH = "/telegram/webhook"


class TelegramUpdate(BaseModel):
    """An update as the Bot API describes it; everything but its number passes through untouched."""

    model_config = ConfigDict(extra="allow", json_schema_extra={"example": {"update_id": 500000001}})

    update_id: int


def router(updates: TelegramUpdates, secret: str | None) -> APIRouter:
    """Make the route; without a ``secret`` nothing is accepted, since anybody could send it."""
    routes = APIRouter(tags=["Telegram"])

    @routes.post(
        PATH,
        responses=refusals(
            AccessDenied("telegram_secret_refused"),
            *OF_ANY_BODY,
            InvalidInput([FieldProblem("missing", ("body", "update_id"), "Field required", {})]),
            AWAY,
        ),
        openapi_extra=REQUEST,
        summary="Take an update from Telegram",
    )
    async def take(request: Request) -> Response:
        """Stores an update and answers 200; Telegram sends again what gets any other answer.

        An update that is known by its `update_id` changes nothing. `telefonist telegram set-webhook` tells Telegram of
        this address and the secret.
        """
        shown = request.headers.get(SECRET_HEADER, "")
        if secret is None or not hmac.compare_digest(shown.encode(), secret.encode()):
            raise AccessDenied("telegram_secret_refused")
        update = read_body(await request.body(), TelegramUpdate).model_dump()
        place = place_of(update)
        if place is not None:
            await updates.accept([(place, update)])
        return Response(status_code=200)

    return routes


REQUEST = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": TelegramUpdate.model_json_schema(mode="validation")}},
    },
    "parameters": [
        {
            "name": SECRET_HEADER,
            "in": "header",
            "required": True,
            "description": "TELEGRAM_WEBHOOK_SECRET, as Telegram shows it.",
            "schema": {"type": "string", "maxLength": 256},
        }
    ],
}
