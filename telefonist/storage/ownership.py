"""Whose a conversation is: the keys under which conversations and idempotency keys are found.

Both belong to an account; without one to the callback URL, so that nobody reads a stranger's history, or learns of a
stranger's requests, by guessing an id.
"""

import hashlib
from uuid import UUID


def owner(account_id: UUID | None, callback_url: str) -> bytes:
    """Name the owner: the account, or without one whoever receives at the callback URL."""
    return f"account:{account_id}".encode() if account_id else f"callback:{callback_url}".encode()


def conversation_key(of: bytes, external_id: str) -> bytes:
    """Give the key of an owner's conversation, as its client names it."""
    return digest(b"conversation", of, external_id.encode())


def digest(*parts: bytes) -> bytes:
    """Give the SHA-256 of several texts, each with its length, so that no two lists of texts can look alike."""
    hashed = hashlib.sha256()
    for part in parts:
        hashed.update(len(part).to_bytes(8, "big"))
        hashed.update(part)
    return hashed.digest()
