"""From the price of the moment to one settlement: what every generation passes, however it ends."""

import asyncio
import time
from collections.abc import Callable
from contextvars import Context
from uuid import UUID
from weakref import WeakValueDictionary

from telefonist.core.background import Background
from telefonist.core.billing import charge, hold_amount
from telefonist.core.mailbox import insist
from telefonist.core.prices import Prices
from telefonist.errors import InsufficientCredits, Unavailable
from telefonist.logs import get_logger
from telefonist.storage.holds import Holds
from telefonist.types import (
    Caller,
    Door,
    GenerationState,
    HoldOutcome,
    Model,
    NewGeneration,
    Settlement,
    Usage,
    format_credits,
    new_id,
    utc_now,
)

log = get_logger(__name__)

PATIENCE = 10.0
"""Seconds for which an answer waits to be settled while the database is away; settling goes on after them."""

LOOK_EVERY = 2.0
"""Seconds between two looks for holds that were forgotten."""

LOOK_FOR = 60.0
"""Seconds after the last hold was taken in which one may still turn up whose taking was given up: longer than any
statement lasts."""

NOTHING = Usage()


class Meter:
    """One generation on its way: it ends in exactly one settlement, whoever calls for how many."""

    def __init__(self, metering: "Metering", generation: NewGeneration) -> None:
        self.generation = generation
        self._metering = metering
        self._settled = False

    async def settle(
        self,
        state: GenerationState,
        served_by: str,
        usage: Usage = NOTHING,
        *,
        error: str | None = None,
        first_token_ms: int | None = None,
    ) -> int:
        """Write down how the generation ended and charge for it; give the charge in microcredits.

        Returns once that is on disk. Raises Unavailable where it could not be within PATIENCE, or where others took
        this process for dead meanwhile, so that nothing was charged: then the answer must not be given whole. When the
        caller is cancelled, settling goes on without it. Only the first call counts.
        """
        if self._settled:
            return 0
        self._settled = True
        settlement = self.settlement(state, served_by, usage, error=error, first_token_ms=first_token_ms)
        stored = await self._metering.settle(settlement)
        if stored is GenerationState.LOST:
            raise Unavailable("generation_lost", seconds=1)
        return settlement.charge

    def settlement(
        self,
        state: GenerationState,
        served_by: str,
        usage: Usage = NOTHING,
        *,
        error: str | None = None,
        first_token_ms: int | None = None,
    ) -> Settlement:
        """Give what ``settle`` writes down, for whoever stores it together with something else."""
        self._settled = True
        return Settlement(
            generation=self.generation,
            state=state,
            served_by=served_by,
            usage=usage,
            charge=charge(self.generation.price, usage),
            error=error,
            first_token_ms=first_token_ms,
        )


class Metering:
    """Takes holds and settles them; ``process_id`` tells under which id this process is alive just now."""

    def __init__(self, holds: Holds, prices: Prices, process_id: Callable[[], UUID]) -> None:
        self._holds = holds
        self._prices = prices
        self._process_id = process_id
        self._behind = Background("settling")
        self._known: WeakValueDictionary[UUID, NewGeneration] = WeakValueDictionary()
        """Generations with a hold that somebody here still has in hand, be it only to settle them."""
        self._unknown: set[UUID] = set()
        self._taken_at = 0.0
        self._looking: asyncio.Task[None] | None = None

    async def open(
        self,
        caller: Caller,
        model: Model,
        door: Door,
        *,
        prompt_tokens: int,
        choices: int = 1,
        expected_output: int | None = None,
        streamed: bool = False,
        patient: bool = False,
    ) -> Meter:
        """Set aside what the generation will probably cost; raises InsufficientCredits, and Unavailable.

        A free model and an account that is not metered need nothing set aside: of them a generation is written down
        when it has ended. Who is ``patient`` waits for a database that goes away meanwhile, and the hold is taken once:
        trying again from outside would be another generation, for which the last credits may not be enough while the
        first one's hold is still there.
        """
        price = await self._prices.of(model)
        hold = 0
        if caller.metered and not price.is_free:
            expected = model.hold_output_default if expected_output is None else expected_output
            hold = hold_amount(price, prompt_tokens, choices, expected)
        generation = NewGeneration(
            id=new_id(),
            process_id=self._process_id(),
            account_id=caller.payer,
            key_id=caller.key_id,
            door=door,
            model=model.name,
            price=price,
            hold=hold,
            streamed=streamed,
            started_at=utc_now(),
        )
        if hold:
            _check(await self._take(generation, patient=patient), hold)
        return Meter(self, generation)

    async def look_for_forgotten(self) -> None:
        """Give back holds that nobody here knows: of a taking whose outcome was lost with the database's connection.

        A hold is forgotten when two looks in a row find nobody who has its generation in hand. Raises Unavailable.
        """
        unknown = {found for found in await self._holds.of_process(self._process_id()) if found not in self._known}
        forgotten, self._unknown = unknown & self._unknown, unknown
        if forgotten:
            log.warning("forgotten_holds_given_back", count=len(forgotten))
            await self._holds.release(list(forgotten))

    async def _take(self, generation: NewGeneration, *, patient: bool) -> HoldOutcome:
        self._known[generation.id] = generation
        self._taken_at = time.monotonic()
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._keep_looking(), context=Context())
        try:
            if patient:
                return await insist(self._holds.take, generation)
            return await self._holds.take(generation)
        except Unavailable:
            del self._known[generation.id]  # given up: only the error's traceback still has it, for who knows how long
            raise
        except asyncio.CancelledError:
            self._behind.start(self._give_back(generation))
            raise

    async def _give_back(self, generation: NewGeneration) -> None:
        """Take the hold once more, which tells whether it was taken: until then there may be nothing to settle yet."""
        if (await insist(self._holds.take, generation)).admitted:
            meter = Meter(self, generation)
            await insist(self._holds.settle, meter.settlement(GenerationState.CANCELLED, generation.model))

    async def _keep_looking(self) -> None:
        """Look for as long as there may be something to find: when nobody asks us, we do not ask the database."""
        while self._known or self._unknown or time.monotonic() - self._taken_at < LOOK_FOR:
            await asyncio.sleep(LOOK_EVERY)
            try:
                await self.look_for_forgotten()
            except Unavailable:
                self._taken_at = time.monotonic()

    async def settle(self, settlement: Settlement) -> GenerationState:
        """Store a settlement, trying again while the database is away; raises Unavailable after PATIENCE."""
        try:
            return await self._holds.settle(settlement)
        except asyncio.CancelledError:
            self._behind.start(insist(self._holds.settle, settlement))
            raise
        except Unavailable as error:
            task = self._behind.start(insist(self._holds.settle, settlement))
            done, _ = await asyncio.wait([task], timeout=PATIENCE)
            if not done:
                raise error from None
            return task.result()

    def settle_behind(self, settlement: Settlement) -> None:
        """Store a settlement without being waited for, as whoever is stopped cannot wait."""
        self._behind.start(insist(self._holds.settle, settlement))

    async def close(self) -> None:
        """Wait for what is still being settled, for PATIENCE at most; others release the rest, and charge nothing."""
        await self._behind.close(PATIENCE)
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.wait([self._looking])


def _check(outcome: HoldOutcome, need: int) -> None:
    if outcome.admitted:
        return
    available = outcome.balance - outcome.held
    if outcome.budget_left is not None and outcome.budget_left < need <= available:
        raise InsufficientCredits(
            "key_budget_spent", left=format_credits(outcome.budget_left), need=format_credits(need)
        )
    raise InsufficientCredits(
        balance=format_credits(outcome.balance), available=format_credits(available), need=format_credits(need)
    )
