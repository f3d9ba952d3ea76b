"""The secrets that callbacks are signed with: one at rest, two while it is being changed."""

import asyncio
import time
from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from telefonist.channels.signing import generate_secret
from telefonist.storage.webhook_secrets import WebhookSecretStore
from telefonist.types import utc_now

OVERLAP = timedelta(hours=24)
"""How long the old secret goes on signing beside a new one."""

CACHED = 5.0
"""Seconds for which a process trusts what it read: a change reaches every process within them."""

LARGEST_CACHE = 10_000
"""Accounts remembered at once."""


class WebhookSecrets:
    """Gives the live secrets of an account, the newest first; without an account those of the whole service.

    Secrets from the settings stand above stored ones for the service; nothing is stored then.
    """

    def __init__(self, store: WebhookSecretStore, configured: Sequence[str] = ()) -> None:
        self._store = store
        self._configured = tuple(configured)
        self._reading = asyncio.Lock()
        self._cache: dict[UUID | None, tuple[float, tuple[str, ...]]] = {}

    async def live(self, account_id: UUID | None) -> Sequence[str]:
        """Give the secrets to sign with, making the first one where there is none."""
        if account_id is None and self._configured:
            return self._configured
        if (known := self._known(account_id)) is not None:
            return known
        async with self._reading:  # one reads, all who wait take what it read
            if (known := self._known(account_id)) is not None:
                return known
            secrets = await self._store.live(account_id, utc_now(), first=generate_secret())
            if len(self._cache) >= LARGEST_CACHE:
                self._cache.clear()
            self._cache[account_id] = (time.monotonic() + CACHED, secrets)
            return secrets

    def _known(self, account_id: UUID | None) -> Sequence[str] | None:
        cached = self._cache.get(account_id)
        return cached[1] if cached is not None and time.monotonic() < cached[0] else None

    async def rotate(self, account_id: UUID | None) -> str:
        """Make a new secret; the old one signs beside it for a day, so that receivers can change over."""
        secret = generate_secret()
        await self._store.add(account_id, secret, others_expire_at=utc_now() + OVERLAP)
        self._cache.pop(account_id, None)
        return secret
