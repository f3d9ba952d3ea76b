"""Whose a key or an access token is: asked of storage, and remembered for as long as a change may take to be seen."""

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from hashlib import sha256
from typing import Generic, TypeVar
from uuid import UUID

from telefonist.core.access_tokens import AccessTokens
from telefonist.errors import CredentialsRefused
from telefonist.storage.api_keys import ApiKeyStore
from telefonist.storage.sessions import SessionStore
from telefonist.types import Caller, Language, utc_now

KEY_PREFIX = "tf-"
"""How every key begins; a token never does."""

REMEMBERED = 3.0
"""Seconds: what is revoked or disabled anywhere is refused in every process before five are over."""

MOST_REMEMBERED = 20_000
"""Credentials that hold, and as many that do not."""

Value = TypeVar("Value")


def key_digest(key: str) -> bytes:
    """Give what is stored of a key; a key is as random as its digest, so that it needs no salt and no slow hash."""
    return sha256(key.encode()).digest()


class Identification:
    """Tells who shows a key or an access token.

    Role, session and whether the account is disabled come from storage, never from a token. What does not hold is
    remembered apart, so that a stream of invented keys neither reaches the database twice nor pushes out what holds.
    """

    def __init__(
        self,
        tokens: AccessTokens,
        keys: ApiKeyStore,
        sessions: SessionStore,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._tokens = tokens
        self._keys = keys
        self._sessions = sessions
        self._callers: _Remembered[Caller] = _Remembered(MOST_REMEMBERED, clock)
        self._refused: _Remembered[None] = _Remembered(MOST_REMEMBERED, clock)

    async def identify(self, credential: str, address: str, language: Language) -> Caller:
        """Tell who shows ``credential``; raises CredentialsRefused, and Unavailable."""
        digest = sha256(credential.encode(errors="surrogatepass")).digest()
        known = self._callers.get(digest)
        if known is None:
            if digest in self._refused:
                raise CredentialsRefused
            known = await self._look_up(credential, digest, address, language)
        if known.address == address and known.language == language:
            return known
        return replace(known, address=address, language=language)

    def forget(self, account_id: UUID) -> None:
        """Ask storage anew about everything of an account: it was changed here, and here that shows at once."""
        self._callers.forget(lambda caller: caller.account_id == account_id)

    async def _look_up(self, credential: str, digest: bytes, address: str, language: Language) -> Caller:
        left = REMEMBERED
        if credential.startswith(KEY_PREFIX):
            found = await self._keys.find(digest)
        else:
            claims = self._tokens.read(credential)
            found = await self._sessions.find(claims.session_id)
            left = _seconds_until(claims.expires_at)
            if found is not None and found.account_id != claims.account_id:
                found = None
        if found is None:
            self._refused.keep(digest, None, REMEMBERED)
            raise CredentialsRefused
        if found.expires_at is not None:
            left = min(left, _seconds_until(found.expires_at))
        caller = Caller(
            account_id=found.account_id,
            address=address,
            language=language,
            role=found.role,
            metered=found.metered,
            key_id=found.key_id,
            terms=found.terms,
            session_id=found.session_id,
        )
        self._callers.keep(digest, caller, min(REMEMBERED, left))
        return caller


class _Remembered(Generic[Value]):
    """Values in the order in which they came: what is past its time goes from the front, and so does the oldest."""

    def __init__(self, most: int, clock: Callable[[], float]) -> None:
        self._values: OrderedDict[bytes, tuple[float, Value]] = OrderedDict()
        self._most = most
        self._clock = clock

    def get(self, name: bytes) -> Value | None:
        until, value = self._values.get(name, (0.0, None))
        return value if self._clock() < until else None

    def __contains__(self, name: bytes) -> bool:
        return name in self._values and self._clock() < self._values[name][0]

    def __len__(self) -> int:
        return len(self._values)

    def keep(self, name: bytes, value: Value, seconds: float) -> None:
        now = self._clock()
        while self._values:
            until, _ = next(iter(self._values.values()))
            if now < until and len(self._values) < self._most:
                break
            self._values.popitem(last=False)
        self._values[name] = (now + seconds, value)
        self._values.move_to_end(name)

    def forget(self, wanted: Callable[[Value], bool]) -> None:
        for name in [name for name, (_, value) in self._values.items() if wanted(value)]:
            del self._values[name]


def _seconds_until(moment: datetime) -> float:
    return (moment - utc_now()).total_seconds()
