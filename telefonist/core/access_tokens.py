"""Access tokens: signed, short-lived, and no more than the name of a login session.

Source: RFC 7519 and RFC 8725 (the algorithm is ours to say, never the token's; every claim is required and checked).
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

import jwt
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from telefonist.errors import CredentialsRefused
from telefonist.types import utc_now

LIFE = timedelta(minutes=15)
"""How long a token may be used."""

LEEWAY = timedelta(seconds=10)
"""How far the clocks of two machines may be apart."""

ALGORITHM = "HS256"
ISSUER = "telefonist"
AUDIENCE = "telefonist-api"
CLAIMS = ("iss", "aud", "exp", "iat", "sub", "sid")

PURPOSE = b"telefonist access tokens"
"""Binds the derived key to this use (HKDF's ``info``, RFC 5869)."""


@dataclass(frozen=True, slots=True)
class AccessClaims:
    """What a valid token says; whether its session still stands is for storage to tell."""

    account_id: UUID
    session_id: UUID
    expires_at: datetime


class AccessTokens:
    """Issues and reads tokens; ``master`` is TELEFONIST_SECRET, from which the key is derived."""

    def __init__(self, master: str, clock: Callable[[], datetime] = utc_now) -> None:
        self._key = HKDF(algorithm=SHA256(), length=32, salt=None, info=PURPOSE).derive(master.encode())
        self._clock = clock

    def issue(self, account_id: UUID, session_id: UUID) -> str:
        """Make a token that is good for LIFE."""
        now = self._clock()
        claims = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "iat": now,
            "exp": now + LIFE,
            "sub": str(account_id),
            "sid": str(session_id),
        }
        return jwt.encode(claims, self._key, ALGORITHM)

    def read(self, token: str) -> AccessClaims:
        """Check a token and give what it says; raises CredentialsRefused."""
        try:
            claims = jwt.decode(
                token,
                self._key,
                algorithms=[ALGORITHM],
                audience=AUDIENCE,
                issuer=ISSUER,
                leeway=LEEWAY,
                options={"require": list(CLAIMS)},
            )
            return AccessClaims(UUID(claims["sub"]), UUID(claims["sid"]), datetime.fromtimestamp(claims["exp"], UTC))
        except jwt.ExpiredSignatureError:
            raise CredentialsRefused("credentials_expired") from None
        except (jwt.InvalidTokenError, AttributeError, OverflowError, TypeError, ValueError):
            raise CredentialsRefused from None
