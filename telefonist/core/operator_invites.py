"""Invites that make a Telegram user an operator."""

import hashlib
import secrets
from datetime import timedelta
from uuid import UUID

from telefonist.storage.operators import Operators
from telefonist.types import utc_now

GOOD_FOR = timedelta(hours=24)
"""How long an invite can be used, once."""

CODE_BYTES = 16
"""Random bytes of a code: 128 bits."""


async def invite(staff: Operators, by: UUID | None, *, may_invite: bool = False) -> str:
    """Make an invite and give its code, which is nowhere kept; ``by`` is an operator, None for the command line.

    Raises Unavailable.
    """
    code = secrets.token_urlsafe(CODE_BYTES)
    await staff.invite(code_digest(code), utc_now() + GOOD_FOR, by, may_invite=may_invite)
    return code


def code_digest(code: str) -> bytes:
    """Give that by which an invite is found; a plain hash will do for 128 random bits."""
    return hashlib.sha256(code.strip().encode()).digest()
