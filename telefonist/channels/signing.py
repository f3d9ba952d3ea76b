"""Signatures of callbacks, by which a receiver knows they are ours.

Source: Standard Webhooks 1.0.0 (github.com/standard-webhooks/standard-webhooks, spec/standard-webhooks.md), symmetric
scheme: HMAC-SHA256 over ``id.timestamp.body``.
"""

import binascii
import hmac
import os
import time
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from uuid import UUID

from telefonist.errors import ConfigurationError, SignatureInvalid

PREFIX = "whsec_"
TOLERANCE = 300
"""Seconds by which the clocks of both sides may differ."""


def generate_secret() -> str:
    """Make a secret: ``whsec_`` and the base64 of 32 random bytes."""
    return PREFIX + b64encode(os.urandom(32)).decode()


def secret_key(secret: str | bytes) -> bytes:
    """Give the HMAC key of a secret; bytes are the key itself.

    Raises ConfigurationError, which does not repeat the secret, for anything but ``whsec_`` and the base64 of 24 to 64
    bytes.
    """
    if isinstance(secret, bytes):
        return secret
    encoded = secret.removeprefix(PREFIX)
    try:
        key = b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not secret.startswith(PREFIX) or not 24 <= len(key) <= 64:
        raise ConfigurationError(
            f"A webhook secret must be {PREFIX} followed by the base64 of 24 to 64 random bytes. "
            "`telefonist webhook secret` prints a valid one."
        )
    return key


def sign(secrets: Sequence[str | bytes], message_id: UUID, timestamp: int, body: bytes) -> dict[str, str]:
    """Give the three headers that prove ``body`` is ours, with a signature for every live secret.

    ``timestamp`` is the Unix time of this attempt in seconds; ``message_id`` stays the same over all attempts. Raises
    ConfigurationError when there is no secret or one is malformed.
    """
    if not secrets:
        raise ConfigurationError("There is no webhook secret to sign callbacks with.")
    identifier = str(message_id)
    content = b"%b.%d.%b" % (identifier.encode(), timestamp, body)
    return {
        "webhook-id": identifier,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join([_signature(secret, content) for secret in secrets]),
    }


def verify(
    secrets: Sequence[str | bytes], headers: Mapping[str, str], body: bytes, *, now: float | None = None
) -> None:
    """Check a received message as a receiver should: time first, then signatures in constant time.

    ``headers`` are found whatever their case. Raises SignatureInvalid, which says what is wrong.
    """
    received = {name.lower(): value for name, value in headers.items()}
    identifier = _header(received, "webhook-id")
    timestamp = _header(received, "webhook-timestamp")
    signatures = _header(received, "webhook-signature")
    if not (timestamp.isascii() and timestamp.isdecimal() and len(timestamp) <= 12):
        raise SignatureInvalid("signature_malformed", header="webhook-timestamp")
    if abs((time.time() if now is None else now) - int(timestamp)) > TOLERANCE:
        raise SignatureInvalid("signature_expired", seconds=TOLERANCE)

    content = b".".join((identifier.encode(errors="replace"), timestamp.encode(), body))
    ours = [_signature(secret, content).encode() for secret in secrets]
    theirs = [signature.encode(errors="replace") for signature in signatures.split(" ")]
    if not any(hmac.compare_digest(our, their) for our in ours for their in theirs):
        raise SignatureInvalid("signature_mismatch")


def _signature(secret: str | bytes, content: bytes) -> str:
    return "v1," + b64encode(hmac.digest(secret_key(secret), content, "sha256")).decode()


def _header(headers: Mapping[str, str], name: str) -> str:
    value = headers.get(name)
    if not value:
        raise SignatureInvalid("signature_missing", header=name)
    return value
