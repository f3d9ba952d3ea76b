"""How often the database is asked for holds that were forgotten: not at all where there can be none."""

from uuid import UUID

import pytest

from telefonist.core import metering as metering_module
from telefonist.core.metering import Metering
from telefonist.core.prices import Prices
from telefonist.errors import Unavailable
from telefonist.storage.database import Database
from telefonist.storage.holds import Holds
from telefonist.storage.prices import PriceOverrides
from telefonist.types import Caller, Door, GenerationState, HoldOutcome, Model, NewGeneration, Usage, new_id
from tests.storage.money import counted, open_account, query
from tests.waiting import until

MODEL = Model("gpt-4", "upstream", "gpt-4", input_price=1000, output_price=1000)


class WatchedHolds(Holds):
    """Counts the looks; replies to takings get lost when a test says so."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.looks = 0
        self.replies_lost = False

    async def take(self, generation: NewGeneration) -> HoldOutcome:
        outcome = await super().take(generation)
        if self.replies_lost:
            raise Unavailable(seconds=1)
        return outcome

    async def of_process(self, process_id: UUID) -> list[UUID]:
        self.looks += 1
        return await super().of_process(process_id)


async def test_a_service_that_nobody_asks_does_not_look_and_one_that_is_asked_again_does(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metering_module, "LOOK_EVERY", 0.01)
    monkeypatch.setattr(metering_module, "LOOK_FOR", 0.1)
    process_id, holds = new_id(), WatchedHolds(database)
    caller = Caller(await open_account(database, 1_000_000), "127.0.0.1", metered=True)
    metering = Metering(holds, Prices(PriceOverrides(database)), lambda: process_id)
    meter = await metering.open(caller, MODEL, Door.API, prompt_tokens=30)
    await meter.settle(GenerationState.SUCCEEDED, "gpt-4", Usage(30, 20))
    del meter
    seen: list[int] = []

    async def looks_no_more() -> bool:
        seen.append(holds.looks)
        return len(seen) > 30 and 0 < seen[-30] == seen[-1]

    await until(looks_no_more)
    holds.replies_lost = True
    with pytest.raises(Unavailable) as kept:  # whoever keeps the error keeps its traceback, and what that refers to
        await metering.open(caller, MODEL, Door.API, prompt_tokens=30)
    assert await counted(database, "holds") == 1

    async def given_back() -> bool:
        return await counted(database, "holds") == 0

    await until(given_back)
    rows = await query(database, "SELECT state, charge FROM generations ORDER BY id")
    assert [tuple(row) for row in rows] == [("succeeded", 50), ("lost", 0)]
    assert kept.value.status == 503
    await metering.close()
