"""Holds and settlements: what a generation may cost is set aside before it begins, and settled exactly once."""

from collections.abc import Sequence
from uuid import UUID

import asyncpg

from telefonist.storage.database import Database
from telefonist.storage.grouping import Grouped
from telefonist.types import GenerationState, HoldOutcome, NewGeneration, Settlement


class Holds:
    """The money set aside for generations under way."""

    def __init__(self, database: Database) -> None:
        self._taking: Grouped[NewGeneration, HoldOutcome] = Grouped(database.line("holds"), _take)
        self._settling: Grouped[Settlement, GenerationState] = Grouped(database.line("settlements"), settle)

    async def take(self, generation: NewGeneration) -> HoldOutcome:
        """Set a generation's hold aside, if the balance and the key's budget allow it."""
        return await self._taking.submit(generation)

    async def settle(self, settlement: Settlement) -> GenerationState:
        """Give the hold back, charge the generation and write it down, once; give the state that is stored."""
        return await self._settling.submit(settlement)

    async def of_process(self, process_id: UUID) -> list[UUID]:
        """List the generations for which a process has holds."""
        raise NotImplementedError

    async def release(self, generation_ids: Sequence[UUID]) -> int:
        """Give holds back whose generations are lost; say how many there were."""
        raise NotImplementedError


async def _take(connection: asyncpg.Connection, generations: Sequence[NewGeneration]) -> list[HoldOutcome]:
    raise NotImplementedError


async def settle(connection: asyncpg.Connection, settlements: Sequence[Settlement]) -> list[GenerationState]:
    """Settle generations on a connection, which may be in a transaction."""
    raise NotImplementedError
