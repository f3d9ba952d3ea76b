"""Accounts: who may make one, and what whoever runs the service does with them."""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256
from typing import Literal
from uuid import UUID

from telefonist.core.emails import email_address
from telefonist.core.identification import Identification
from telefonist.core.passwords import LONGEST, SHORTEST, Passwords
from telefonist.errors import AccessDenied, Conflict, FieldProblem, InvalidInput, NotFound
from telefonist.memory.base import RateLimiter, enforce
from telefonist.storage.accounts import AccountStore
from telefonist.storage.invites import InviteStore
from telefonist.storage.users import Users
from telefonist.types import Account, AccountRole, Invite, utc_now

REGISTRATIONS = "100/hour"
"""Accounts that may be made from one client network."""

INVITE_LIFE = timedelta(days=7)
"""How long an invite is good for."""


@dataclass(frozen=True, slots=True)
class Registration:
    """Who may make an account, and the microcredits that it begins with."""

    mode: Literal["open", "invite", "closed"] = "open"
    start: int = 0


class Accounts:
    """Makes and changes accounts."""

    def __init__(
        self,
        store: AccountStore,
        users: Users,
        invites: InviteStore,
        passwords: Passwords,
        identification: Identification,
        limiter: RateLimiter,
        registration: Registration,
    ) -> None:
        self._store = store
        self._users = users
        self._invites = invites
        self._passwords = passwords
        self._identification = identification
        self._limiter = limiter
        self._registration = registration

    async def register(self, email: str, password: str, invite: str | None, address: str) -> Account:
        """Make an account for whoever asks from an address, by the rules of registration.

        Raises AccessDenied, Conflict where there is one already, InvalidInput, RateLimited and Unavailable.
        """
        if self._registration.mode == "closed":
            raise AccessDenied("registration_closed")
        if self._registration.mode == "invite" and invite is None:
            raise AccessDenied("invite_required")
        email = email_address(email)
        require_password(password, "password")
        await enforce(self._limiter, REGISTRATIONS, "register", address)
        return await self._store.create(
            email,
            await self._passwords.hash(password),
            start=self._registration.start,
            invite=None if invite is None else _digest(invite),
        )

    async def profile(self, account_id: UUID) -> Account:
        """Give an account as it is now; raises NotFound."""
        stored = await self._store.get(account_id)
        if stored is None:
            raise NotFound("account_not_found", account=account_id)
        return stored.account

    async def make_admin(self, email: str) -> Account | None:
        """Make an account that is there an administrator's; None where there is none. Raises InvalidInput."""
        stored = await self._store.find(email_address(email))
        return None if stored is None else await self._change(stored.account, role=AccountRole.ADMIN)

    async def create_admin(self, email: str, password: str) -> Account:
        """Make an account for an administrator; raises InvalidInput and Conflict."""
        email = email_address(email)
        require_password(password, "password")
        hashed = await self._passwords.hash(password)
        return await self._store.create(
            email, hashed, AccountRole.ADMIN, start=self._registration.start, by_command=True
        )

    async def reset_password(self, email: str, password: str) -> None:
        """Give an account another password, which ends all its sessions; raises InvalidInput and NotFound."""
        account = await self.find(email)
        require_password(password, "password")
        await self._store.set_password(account.id, await self._passwords.hash(password), actor=None)
        self._identification.forget(account.id)

    async def disable(self, email: str) -> None:
        """Shut an account out, with its keys; raises InvalidInput, NotFound, and Conflict for the last admin."""
        await self._change(await self.find(email), disabled=True)

    async def enable(self, email: str) -> None:
        """Let an account in again; raises InvalidInput and NotFound."""
        await self._change(await self.find(email), disabled=False)

    async def find(self, email: str) -> Account:
        """Give the account of an address; raises InvalidInput and NotFound."""
        stored = await self._store.find(email_address(email))
        if stored is None:
            raise NotFound("account_not_found", account=email)
        return stored.account

    async def invite(self, role: AccountRole, email: str | None, created_by: UUID | None = None) -> tuple[Invite, str]:
        """Make an invite, good once within INVITE_LIFE, and give its code beside it: only a digest of that is stored.

        Raises InvalidInput, and Conflict where the address has an account already.
        """
        if email is not None:
            email = email_address(email)
            if await self._store.find(email):
                raise Conflict("email_taken", email=email)
        code = secrets.token_urlsafe(32)
        invite = await self._invites.create(_digest(code), role, email, utc_now() + INVITE_LIFE, created_by)
        return invite, code

    async def invites(self, before: UUID | None, limit: int) -> Sequence[Invite]:
        """List invites, the newest first, from the id ``before`` on (exclusive)."""
        return await self._invites.page(before, limit)

    async def withdraw_invite(self, invite_id: UUID, actor_id: UUID | None) -> None:
        """Take an invite back; raises NotFound where there is none that nobody has used."""
        if not await self._invites.withdraw(invite_id, actor_id):
            raise NotFound("invite_not_found", invite=invite_id)

    async def _change(
        self, account: Account, *, role: AccountRole | None = None, disabled: bool | None = None
    ) -> Account:
        changed = await self._users.change(account.id, role, disabled, None)
        self._identification.forget(account.id)
        return changed.account


def require_password(password: str, field: str) -> None:
    """Raise InvalidInput for a new password that is too short or too long."""
    if not SHORTEST <= len(password) <= LONGEST:
        text = f"A password has {SHORTEST} to {LONGEST} characters."
        limits: Mapping[str, int] = {"min_length": SHORTEST, "max_length": LONGEST}
        raise InvalidInput([FieldProblem("password_length", ("body", field), text, ctx=dict(limits))])


def _digest(invite: str) -> bytes:
    return sha256(invite.encode()).digest()
