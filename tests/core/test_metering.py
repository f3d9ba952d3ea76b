"""Each generation ends in one settlement, whatever happens to whoever waits for it, to the database or to us."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from uuid import UUID

import pytest

from telefonist.core import metering as metering_module
from telefonist.core.metering import Meter, Metering
from telefonist.core.prices import Prices
from telefonist.errors import InsufficientCredits, Unavailable
from telefonist.storage.database import Database
from telefonist.storage.holds import Holds
from telefonist.storage.prices import PriceOverrides
from telefonist.storage.processes import Processes
from telefonist.storage.verification import discrepancies
from telefonist.types import (
    Caller,
    Door,
    GenerationState,
    HoldOutcome,
    Model,
    NewGeneration,
    Settlement,
    Usage,
)
from tests.storage.money import counted, open_account, purse, query
from tests.waiting import until

MODEL = Model("gpt-4", "upstream", "gpt-4", input_price=1000, output_price=1000)
FREE = Model("free", "upstream", "free")
USAGE = Usage(30, 20)
START = 1_000_000


class Cashbox(Holds):
    """Holds behind a connection that breaks when a test says so, before the database did its part or after."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.away = False
        self.replies_lost = False
        self.asked = 0

    async def take(self, generation: NewGeneration) -> HoldOutcome:
        self._reach()
        outcome = await super().take(generation)
        self._reply()
        return outcome

    async def settle(self, settlement: Settlement) -> GenerationState:
        self._reach()
        state = await super().settle(settlement)
        self._reply()
        return state

    def _reach(self) -> None:
        self.asked += 1
        if self.away:
            raise Unavailable(seconds=1)

    def _reply(self) -> None:
        if self.replies_lost:
            raise Unavailable(seconds=1)


@dataclass
class Till:
    database: Database
    holds: Cashbox
    metering: Metering
    processes: Processes
    account_id: UUID

    @property
    def caller(self) -> Caller:
        return Caller(self.account_id, "127.0.0.1", metered=True)

    async def open(self, model: Model = MODEL, caller: Caller | None = None) -> Meter:
        return await self.metering.open(caller or self.caller, model, Door.API, prompt_tokens=30)

    async def purse(self) -> tuple[int, int, int]:
        """Give balance, held, and the number of ledger entries."""
        return await purse(self.database, self.account_id)

    async def settled(self, count: int = 1) -> list[tuple[str, int]]:
        """Wait until nothing is held, and give state and charge of each generation."""

        async def seen() -> list[tuple[str, int]]:
            if await counted(self.database, "holds"):
                return []
            rows = await query(self.database, "SELECT state, charge FROM generations ORDER BY id")
            return [tuple(row) for row in rows] if len(rows) >= count else []

        return await until(seen)


@pytest.fixture
async def till(database: Database) -> AsyncIterator[Till]:
    processes = Processes(database, "serve")
    await processes.register(same_machine=False)
    holds = Cashbox(database)
    metering = Metering(holds, Prices(PriceOverrides(database)), lambda: processes.id)
    yield Till(database, holds, metering, processes, await open_account(database, START))
    holds.away = holds.replies_lost = False
    await metering.close()
    assert await discrepancies(database) == []


async def test_a_generation_is_held_and_settled_once_however_often_that_is_asked(till: Till) -> None:
    meter = await till.open()
    assert await till.purse() == (START, 30 + 256, 1)
    charges = await asyncio.gather(
        meter.settle(GenerationState.SUCCEEDED, "gpt-4", USAGE),
        meter.settle(GenerationState.CANCELLED, "gpt-4", USAGE),
        meter.settle(GenerationState.FAILED, "gpt-4"),
    )
    assert list(charges) == [50, 0, 0]
    assert await till.settled() == [("succeeded", 50)]
    assert await till.purse() == (START - 50, 0, 2)


@pytest.mark.parametrize("state", [GenerationState.SUCCEEDED, GenerationState.CANCELLED, GenerationState.FAILED])
async def test_each_end_settles_what_it_says_it_does(till: Till, state: GenerationState) -> None:
    usage = Usage() if state is GenerationState.FAILED else USAGE
    assert await (await till.open()).settle(state, "gpt-4", usage) == usage.total_tokens
    assert await till.settled() == [(state, usage.total_tokens)]
    assert await till.purse() == (START - usage.total_tokens, 0, 1 + bool(usage.total_tokens))


@pytest.mark.parametrize("model", [FREE, MODEL], ids=["a free model", "an account that is not metered"])
async def test_nothing_is_held_for_what_costs_nobody_anything(till: Till, model: Model) -> None:
    caller = till.caller if model is FREE else Caller(None, "127.0.0.1", metered=False)
    meter = await till.open(model, caller)
    assert await counted(till.database, "holds") == 0
    await meter.settle(GenerationState.SUCCEEDED, model.name, USAGE)
    [row] = await query(till.database, "SELECT state, prompt_tokens FROM generations")
    assert tuple(row) == ("succeeded", 30)


async def test_whoever_waits_for_a_settlement_may_be_cancelled_and_it_is_settled_all_the_same(till: Till) -> None:
    meter = await till.open()
    async with till.database.begin() as other:
        await other.exec_driver_sql("SELECT FROM balances FOR UPDATE")
        settling = asyncio.create_task(meter.settle(GenerationState.SUCCEEDED, "gpt-4", USAGE))
        await until(lambda: waiting_for_locks(till))
        settling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await settling
    assert await till.settled() == [("succeeded", 50)]
    assert await till.purse() == (START - 50, 0, 2)


async def test_whoever_waits_for_a_hold_may_be_cancelled_and_it_is_given_back(till: Till) -> None:
    await (await till.open(FREE)).settle(GenerationState.SUCCEEDED, "free")  # so that settling is quicker than holding
    async with till.database.begin() as other:
        await other.exec_driver_sql("SELECT FROM balances FOR UPDATE")
        opening = asyncio.create_task(till.open())
        await until(lambda: waiting_for_locks(till))
        opening.cancel()
        with pytest.raises(asyncio.CancelledError):
            await opening
        for _ in range(20):  # time enough to give back a hold that is not there yet
            await query(till.database, "SELECT 1")
    assert await till.settled(2) == [("succeeded", 0), ("cancelled", 0)]
    assert await till.purse() == (START, 0, 1)


async def test_without_the_database_nothing_begins(till: Till) -> None:
    till.holds.away = True
    with pytest.raises(Unavailable):
        await till.open()
    till.holds.away = False
    assert await till.purse() == (START, 0, 1)


async def test_a_hold_whose_reply_was_lost_is_found_and_given_back_and_no_other(
    till: Till, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metering_module, "LOOK_EVERY", 0.05)
    kept = await till.open()
    till.holds.replies_lost = True
    with pytest.raises(Unavailable):
        await till.open()
    till.holds.replies_lost = False
    assert await counted(till.database, "holds") == 2

    async def one_left() -> bool:
        return await counted(till.database, "holds") == 1

    await until(one_left)
    for _ in range(3):
        await till.metering.look_for_forgotten()
    assert await till.purse() == (START, kept.generation.hold, 1)
    await kept.settle(GenerationState.SUCCEEDED, "gpt-4", USAGE)
    assert sorted(await till.settled(2)) == [("lost", 0), ("succeeded", 50)]


async def test_a_settlement_waits_for_a_database_that_is_away_for_a_moment(till: Till) -> None:
    meter = await till.open()
    till.holds.away = True
    settling = asyncio.create_task(meter.settle(GenerationState.SUCCEEDED, "gpt-4", USAGE))
    asked = till.holds.asked

    async def tried_again() -> bool:
        return till.holds.asked >= asked + 2

    await until(tried_again)
    assert not settling.done()
    till.holds.away = False
    assert await settling == 50
    assert await till.settled() == [("succeeded", 50)]


async def test_past_our_patience_the_answer_is_refused_and_settled_as_soon_as_the_database_is_back(
    till: Till, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metering_module, "PATIENCE", 0.1)
    meter = await till.open()
    till.holds.away = True
    with pytest.raises(Unavailable) as refused:
        await meter.settle(GenerationState.SUCCEEDED, "gpt-4", USAGE)
    assert refused.value.code == "storage_unavailable"
    till.holds.away = False
    assert await till.settled() == [("succeeded", 50)]
    assert await till.purse() == (START - 50, 0, 2)


async def test_a_settlement_whose_reply_was_lost_is_charged_once(till: Till) -> None:
    meter = await till.open()
    till.holds.replies_lost = True
    settling = asyncio.create_task(meter.settle(GenerationState.SUCCEEDED, "gpt-4", USAGE))
    assert await till.settled() == [("succeeded", 50)]
    till.holds.replies_lost = False
    assert await settling == 50
    assert await till.purse() == (START - 50, 0, 2)


async def test_a_connection_cut_in_the_middle_of_a_settlement_is_made_anew(till: Till) -> None:
    meter = await till.open()
    async with till.database.begin() as other:
        await other.exec_driver_sql("SELECT FROM balances FOR UPDATE")
        settling = asyncio.create_task(meter.settle(GenerationState.SUCCEEDED, "gpt-4", USAGE))
        await until(lambda: waiting_for_locks(till))
        cut = "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE NOT granted"
        assert len(await query(till.database, cut)) == 1
    assert await settling == 50
    assert await till.purse() == (START - 50, 0, 2)


async def test_a_process_taken_for_dead_charges_nothing_and_may_not_answer(till: Till) -> None:
    meter = await till.open()
    other = Processes(till.database, "worker")
    await other.register(same_machine=False)
    await query(till.database, "DELETE FROM processes WHERE id = $1", till.processes.id)
    await other.reap(1000)
    assert await till.purse() == (START, 0, 1)
    with pytest.raises(Unavailable) as refused:
        await meter.settle(GenerationState.SUCCEEDED, "gpt-4", USAGE)
    assert refused.value.code == "generation_lost"
    assert await till.settled() == [("lost", 0)]
    assert await till.purse() == (START, 0, 1)


async def test_the_stop_waits_for_what_is_being_settled(till: Till) -> None:
    meter = await till.open()
    till.holds.away = True
    till.metering.settle_behind(meter.settlement(GenerationState.CANCELLED, "gpt-4", USAGE))
    closing = asyncio.create_task(till.metering.close())
    await asyncio.sleep(0)
    till.holds.away = False
    await closing
    assert await till.settled() == [("cancelled", 50)]


async def test_what_is_there_and_what_is_needed_is_said_in_credits(till: Till) -> None:
    poor = await open_account(till.database)
    with pytest.raises(InsufficientCredits, match=r"0 available \(balance 0\), 0.000286 needed"):
        await till.open(caller=Caller(poor, "127.0.0.1", metered=True))


async def waiting_for_locks(till: Till) -> int:
    [row] = await query(till.database, "SELECT count(*) FROM pg_locks WHERE NOT granted")
    return int(row["count"])
