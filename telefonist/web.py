"""The doors in front of the core, as one ASGI application."""

from fastapi import FastAPI
from starlette.types import ASGIApp

from telefonist import __version__
from telefonist.app import House
from telefonist.doors import (
    accounts,
    admin,
    admin_invites,
    admin_providers,
    billing,
    callback_probe,
    documentation,
    handoff,
    health,
    keys,
    openai_api,
    openai_errors,
    operators,
    simple_chat,
    telegram,
    webhook,
)
from telefonist.doors.auth import Authentication
from telefonist.doors.errors import install_error_handlers
from telefonist.doors.local_access import AccessPolicy
from telefonist.doors.middleware import RequestMiddleware
from telefonist.doors.thin import ThinRoutes
from telefonist.storage.audit import AuditLog
from telefonist.storage.ledger import Ledger
from telefonist.storage.operator_inbox import OperatorInbox
from telefonist.storage.usage import UsageReports
from telefonist.storage.users import Users


def build_web(house: House) -> ASGIApp:
    """Put the doors in front of the core of a process that serves the web."""
    settings = house.settings
    limiter = house.memory.limiter
    policy = AccessPolicy(
        anonymous_callers=settings.anonymous,
        listens_on_loopback=settings.listens_on_loopback,
        public_url=settings.public_url or "",
        trusted_proxies=settings.trusted_proxies,
    )
    authentication = Authentication(policy, house.identification)
    rate_limit = settings.doors.webhook.rate_limit
    accept = webhook.acceptor(house.tasks, authentication, limiter, house.guard, rate_limit)
    assert house.generations is not None, "commands serve no web"  # noqa: S101
    model_api = openai_api.OpenAIDoor(house.generations, house.catalog, house.prices, authentication)
    chat_doors = simple_chat.ChatDoors(
        house.generations,
        house.catalog,
        authentication,
        kinds={provider.name: provider.kind for provider in settings.providers},
        system_prompt=settings.doors.chat.system_prompt,
    )
    ledger, usage = Ledger(house.database), UsageReports(house.database)
    app = FastAPI(
        title="Telefonist",
        version=__version__,
        description="Connects people and programs to language models, and, when a person is wanted, to a person.",
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
    )
    for routes in (
        webhook.router(accept, house.tasks, authentication, limiter, rate_limit),
        openai_api.router(model_api),
        simple_chat.router(chat_doors),
        accounts.router(authentication, house.accounts, house.logins),
        keys.router(authentication, house.keys, house.secrets, limiter),
        billing.router(authentication, ledger, usage),
        admin.router(
            authentication,
            house.identification,
            house.catalog,
            Users(house.database),
            ledger,
            house.prices,
            usage,
            AuditLog(house.database),
        ),
        admin_invites.router(authentication, house.accounts),
        admin_providers.router(authentication, settings.providers, house.catalog, house.health),
        telegram.router(house.updates, settings.telegram.webhook_secret),
        handoff.router(authentication, house.handoffs, limiter, rate_limit),
        operators.router(authentication, house.handoffs, OperatorInbox(house.database)),
        callback_probe.router(policy, limiter, rate_limit),
        health.router(__version__, house.check),
        documentation.router(),
    ):
        app.include_router(routes)
    install_error_handlers(app)
    thin = ThinRoutes(app, {("POST", "/webhook"): accept, **openai_api.thin_routes(model_api)})
    return RequestMiddleware(
        thin, body_limit=int(settings.limits.body), larger={openai_errors.PREFIX: int(settings.limits.api_body)}
    )
