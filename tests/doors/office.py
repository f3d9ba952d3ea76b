"""The doors to accounts' money over a real socket, with accounts made and logged in straight from storage."""

import secrets
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import httpx
from fastapi import FastAPI
from sqlalchemy import insert

from telefonist.core.access_tokens import AccessTokens
from telefonist.core.accounts import Accounts, Registration
from telefonist.core.catalog import Catalog
from telefonist.core.identification import KEY_PREFIX, Identification, key_digest
from telefonist.core.passwords import Passwords
from telefonist.core.prices import Prices
from telefonist.doors import admin, admin_invites, billing
from telefonist.doors.auth import Authentication
from telefonist.doors.errors import install_error_handlers
from telefonist.doors.local_access import AccessPolicy
from telefonist.doors.middleware import RequestMiddleware
from telefonist.memory.local import LocalRateLimiter
from telefonist.storage.accounts import AccountStore
from telefonist.storage.api_keys import ApiKeyStore
from telefonist.storage.audit import AuditLog
from telefonist.storage.database import Database
from telefonist.storage.invites import InviteStore
from telefonist.storage.ledger import Ledger
from telefonist.storage.prices import PriceOverrides
from telefonist.storage.schema import generations
from telefonist.storage.sessions import SessionStore
from telefonist.storage.usage import UsageReports
from telefonist.storage.users import Users
from telefonist.types import MICROCREDITS, AccountRole, KeyTerms, Model, new_id, utc_now
from tests.doors.conftest import Serve

MODELS = (
    Model("demo", "demo", "demo", input_price=1_500_000, output_price=2, aliases=("default",)),
    Model("vendor/model:free", "demo", "demo"),
)


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody with an account, logged in."""

    id: UUID
    headers: dict[str, str]


class Office:
    """A service that has only the doors to money, and what is needed to be let in."""

    def __init__(self, database: Database, client: httpx.AsyncClient) -> None:
        self.database = database
        self.client = client
        self.ledger = Ledger(database)
        self._tokens = TOKENS
        self._sessions = SessionStore(database)

    async def person(
        self, email: str = "anna@example.com", role: AccountRole = AccountRole.CLIENT, credits_: int = 0
    ) -> Person:
        """Make an account, and log it in."""
        account = await AccountStore(self.database).create(email, "hash", role, start=credits_ * MICROCREDITS)
        session = await self._sessions.open(account.id, "hash", secrets.token_bytes(32))
        assert session is not None
        return Person(account.id, {"authorization": f"Bearer {self._tokens.issue(account.id, session)}"})

    async def administrator(self, email: str = "admin@example.com") -> Person:
        """Make an administrator, and log them in."""
        return await self.person(email, AccountRole.ADMIN)

    async def key(self, person: Person) -> dict[str, str]:
        """Make a key; gives the headers that show it."""
        key = KEY_PREFIX + secrets.token_hex(16)
        await ApiKeyStore(self.database).create(person.id, "a key", key_digest(key), "tf-…", KeyTerms(), None)
        return {"authorization": f"Bearer {key}"}

    async def generated(self, account_id: UUID, model: str = "demo", **more: Any) -> None:
        """Write down a generation that has ended just now."""
        row = {
            "id": new_id(),
            "account_id": account_id,
            "door": "api",
            "model": model,
            "served_by": model,
            "state": "succeeded",
            "streamed": False,
            "prompt_tokens": 10,
            "completion_tokens": 20,
            "cached_tokens": 3,
            "estimated": False,
            "input_price": 1,
            "output_price": 1,
            "charge": 300_000,
            "started_at": utc_now(),
        }
        async with self.database.begin() as connection:
            await connection.execute(insert(generations).values(row | more))


TOKENS = AccessTokens("s" * 32)


def application(database: Database) -> FastAPI:
    """Build the doors."""
    identification = Identification(TOKENS, ApiKeyStore(database), SessionStore(database))
    authentication = Authentication(AccessPolicy("on", listens_on_loopback=True), identification)
    ledger, reports = Ledger(database), UsageReports(database)
    app = FastAPI()
    app.include_router(billing.router(authentication, ledger, reports))
    app.include_router(
        admin.router(
            authentication,
            identification,
            Catalog(MODELS, "demo"),
            Users(database),
            ledger,
            Prices(PriceOverrides(database)),
            reports,
            AuditLog(database),
        )
    )
    app.include_router(admin_invites.router(authentication, accounts(database)))
    install_error_handlers(app)
    return app


def accounts(database: Database) -> Accounts:
    """Give what registers with an invite."""
    identification = Identification(TOKENS, ApiKeyStore(database), SessionStore(database))
    return Accounts(
        AccountStore(database),
        Users(database),
        InviteStore(database),
        Passwords(),
        identification,
        LocalRateLimiter(),
        Registration("invite"),
    )


async def address(serve: Serve, database: Database) -> str:
    """Serve the doors."""
    return await serve(RequestMiddleware(application(database), body_limit=100_000))
