"""Whether the process lives (/health) and whether it can take work (/ready), for supervisors and load balancers."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import orjson
from fastapi import APIRouter
from starlette.responses import Response

OK = "ok"
CHECK_SECONDS = 5.0
"""How long the checks may take together; a part that hangs is not ready."""

RETRY_AFTER_SECONDS = 5

ReadyCheck = Callable[[], Awaitable[Mapping[str, str]]]
"""Names each part and says ``ok`` or, in a few words without secrets, what is wrong with it."""

HEALTH_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The process lives",
        "content": {"application/json": {"example": {"status": "ok", "version": "0.1.0"}}},
    }
}
READY_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "Work can be taken",
        "content": {"application/json": {"example": {"status": "ok", "checks": {"database": "ok", "worker": "ok"}}}},
    },
    503: {
        "description": "Work cannot be taken now; see Retry-After",
        "headers": {"Retry-After": {"description": "Seconds", "schema": {"type": "integer"}}},
        "content": {
            "application/json": {
                "example": {"status": "unavailable", "checks": {"database": "no connection", "worker": "ok"}}
            }
        },
    },
}


def router(version: str, check: ReadyCheck) -> APIRouter:
    """Make the routes; ``check`` is asked at every ``/ready`` and is expected to catch what its parts raise."""
    routes = APIRouter(tags=["Health"])
    alive = orjson.dumps({"status": OK, "version": version})

    @routes.get("/health", responses=HEALTH_RESPONSES, summary="Whether the process lives")
    async def health() -> Response:
        """Answers as long as the process can answer at all; a database that is away does not change it.

        `curl localhost:8080/health` → `{"status": "ok", "version": "0.1.0"}`
        """
        return Response(alive, media_type="application/json")

    @routes.get("/ready", responses=READY_RESPONSES, summary="Whether work can be taken")
    async def ready() -> Response:
        """Asks every part that is needed to take and do work, and answers 503 when one of them is not ready.

        `curl localhost:8080/ready` → `{"status": "ok", "checks": {"database": "ok", "worker": "ok"}}`
        """
        try:
            async with asyncio.timeout(CHECK_SECONDS):
                checks = await check()
        except TimeoutError:
            checks = {"checks": f"no answer within {CHECK_SECONDS:g} s"}
        if all(state == OK for state in checks.values()):
            return Response(orjson.dumps({"status": OK, "checks": dict(checks)}), media_type="application/json")
        return Response(
            orjson.dumps({"status": "unavailable", "checks": dict(checks)}),
            status_code=503,
            headers={"retry-after": str(RETRY_AFTER_SECONDS)},
            media_type="application/json",
        )

    return routes
