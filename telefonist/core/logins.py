"""Logging in and out: what proves a password, and what a login session lives on.

Guessing is slow: failures are counted for each address that is tried and for each network that tries. What was right
is not counted, and whoever is logged in already stays so.
"""

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from uuid import UUID

from telefonist.core import access_tokens
from telefonist.core.access_tokens import AccessTokens
from telefonist.core.accounts import require_password
from telefonist.core.emails import email_address
from telefonist.core.identification import Identification
from telefonist.core.passwords import Passwords
from telefonist.errors import AccessDenied, CredentialsRefused, InvalidInput, LoginFailed
from telefonist.logs import get_logger
from telefonist.memory.base import RateLimiter, enforce
from telefonist.storage.accounts import AccountStore
from telefonist.storage.sessions import SessionStore
from telefonist.types import Caller

log = get_logger(__name__)

FAILURES_OF_EMAIL = "10 per 15 minutes"
FAILURES_OF_NETWORK = "100 per 15 minutes"


@dataclass(frozen=True, slots=True)
class TokenPair:
    """What a login gives: a token to call with, and one, good once, to get the next pair with."""

    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)
    expires_in: int = int(access_tokens.LIFE.total_seconds())
    """Seconds until the access token is over."""


class Logins:
    """Opens, renews and ends login sessions."""

    def __init__(
        self,
        accounts: AccountStore,
        sessions: SessionStore,
        passwords: Passwords,
        tokens: AccessTokens,
        identification: Identification,
        limiter: RateLimiter,
    ) -> None:
        self._accounts = accounts
        self._sessions = sessions
        self._passwords = passwords
        self._tokens = tokens
        self._identification = identification
        self._limiter = limiter

    async def login(self, email: str, password: str, address: str) -> TokenPair:
        """Open a session for whoever knows the password, knocking from an address.

        Raises LoginFailed for an unknown user and for a wrong password alike, AccessDenied for a disabled account to
        who knows its password, RateLimited after too many failures, and Unavailable.
        """
        known = _stored_form(email)
        async with self._limited(known or email, address):
            stored = None if known is None else await self._accounts.find(known)
            hashed = None if stored is None else stored.password
            if not await self._passwords.matches(password, hashed) or stored is None or hashed is None:
                raise LoginFailed
            if stored.account.disabled:
                raise AccessDenied("account_disabled")
            refresh_token = secrets.token_urlsafe(32)
            session_id = await self._sessions.open(stored.account.id, hashed, _digest(refresh_token))
            if session_id is None:  # changed or disabled since we looked
                raise LoginFailed
        log.info("logged_in", account_id=str(stored.account.id))
        return self._pair(stored.account.id, session_id, refresh_token)

    async def refresh(self, refresh_token: str) -> TokenPair:
        """Give the next pair for a refresh token.

        Raises CredentialsRefused; the session of a token that was used before ends with that.
        """
        successor = secrets.token_urlsafe(32)
        session = await self._sessions.renew(_digest(refresh_token), _digest(successor))
        if session is None:
            raise CredentialsRefused("refresh_not_accepted")
        return self._pair(session.account_id, session.id, successor)

    async def logout(self, person: Caller) -> None:
        """End the session of who has logged in; its access token is refused here at once, elsewhere within 5 s."""
        assert person.session_id is not None, "only a login can be ended"  # noqa: S101
        await self._sessions.revoke(person.session_id)
        self._identification.forget(person.payer)

    async def change_password(self, person: Caller, current: str, new: str) -> None:
        """Change the password of who has logged in; of the account's sessions only this one goes on.

        Raises AccessDenied where ``current`` is not the password, InvalidInput, RateLimited and Unavailable.
        """
        require_password(new, "new_password")
        async with self._limited(str(person.payer), person.address):
            stored = await self._accounts.get(person.payer)
            checked = None if stored is None else stored.password
            if not await self._passwords.matches(current, checked):
                raise AccessDenied("current_password_wrong")
            hashed = await self._passwords.hash(new)
            if not await self._accounts.set_password(
                person.payer, hashed, actor=person.payer, replacing=checked, keep_session=person.session_id
            ):
                raise AccessDenied("current_password_wrong")
        self._identification.forget(person.payer)

    @asynccontextmanager
    async def _limited(self, name: str, address: str) -> AsyncIterator[None]:
        """Count a try beforehand, so that a crowd does not pass together, and take it back unless it was a failure."""
        tried = sha256(name.encode()).hexdigest()
        counted: list[tuple[str, str, str]] = []
        try:
            for limit in ((FAILURES_OF_EMAIL, "login", tried), (FAILURES_OF_NETWORK, "login-network", address)):
                await enforce(self._limiter, *limit)
                counted.append(limit)
            yield
        except (LoginFailed, AccessDenied):
            counted.clear()
            raise
        finally:
            for limit in counted:
                await self._limiter.take_back(*limit)

    def _pair(self, account_id: UUID, session_id: UUID, refresh_token: str) -> TokenPair:
        return TokenPair(self._tokens.issue(account_id, session_id), refresh_token)


def _stored_form(email: str) -> str | None:
    """Give the form in which an address is stored, None for what is none: that is nobody's.

    Every spelling of an address counts as the same one, or guesses would be unlimited again.
    """
    try:
        return email_address(email)
    except InvalidInput:
        return None


def _digest(refresh_token: str) -> bytes:
    return sha256(refresh_token.encode()).digest()
