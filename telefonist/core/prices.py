"""What a model costs now: the price of the settings, or the one that an administrator set above it."""

import asyncio
import time
from collections.abc import Mapping
from uuid import UUID

from telefonist.storage.prices import PriceOverrides
from telefonist.types import Model, Price

CACHED = 3.0
"""Seconds for which a process trusts what it read: a change reaches every process within them."""


class Prices:
    """Gives the prices in force, and changes them."""

    def __init__(self, overrides: PriceOverrides) -> None:
        self._overrides = overrides
        self._reading = asyncio.Lock()
        self._known: Mapping[str, Price] = {}
        self._fresh_until = 0.0

    async def of(self, model: Model) -> Price:
        """Give the price of a model; raises Unavailable when the last one known is too old and storage is away."""
        return (await self._current()).get(model.name) or default_price(model)

    async def is_overridden(self, model: Model) -> bool:
        """Say whether an administrator's price is in force; raises Unavailable."""
        return model.name in await self._current()

    async def set(self, model: Model, price: Price, actor_id: UUID | None) -> None:
        """Put a price above the one of the settings; generations that hold one already keep it."""
        async with self._reading:  # or a reading that began before would bring the old price back
            await self._overrides.set(model.name, price, actor_id)
            self._fresh_until = 0.0

    async def reset(self, name: str, actor_id: UUID | None) -> bool:
        """Let the price of the settings apply again; False when nothing stood above it.

        Takes a name, since an override may outlive its model.
        """
        async with self._reading:
            was_set = await self._overrides.reset(name, actor_id)
            self._fresh_until = 0.0
            return was_set

    async def _current(self) -> Mapping[str, Price]:
        if time.monotonic() < self._fresh_until:
            return self._known
        async with self._reading:  # one reads, all who wait take what it read
            now = time.monotonic()
            if now >= self._fresh_until:
                self._known = await self._overrides.read()
                self._fresh_until = now + CACHED
            return self._known


def default_price(model: Model) -> Price:
    """Give a model's price as the settings have it."""
    return Price(model.input_price, model.output_price, model.cached_input_price)
