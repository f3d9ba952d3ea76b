"""What becomes of the generations of a process that died, where no worker is there to see it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from telefonist.core.heartbeat import Heartbeat
from telefonist.storage.database import Database
from telefonist.storage.holds import Holds
from telefonist.storage.processes import Processes
from tests.storage.money import generation, open_account, purse, query
from tests.waiting import until


@asynccontextmanager
async def beating(heartbeat: Heartbeat) -> AsyncIterator[None]:
    task = asyncio.create_task(heartbeat.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


async def test_what_a_dead_web_process_held_is_given_back_by_another_that_only_serves_the_web(
    database: Database,
) -> None:
    account, holds = await open_account(database, balance=1000), Holds(database)
    dead, alive = Processes(database, "web"), Processes(database, "web")
    for each in (dead, alive):
        await each.register(same_machine=False)
    lost = generation(account, 50, process_id=dead.id)
    going_on = generation(account, 20, process_id=alive.id)
    for begun in (lost, going_on):
        assert (await holds.take(begun)).admitted

    async def given_back() -> bool:
        return await purse(database, account) == (1000, 20, 1)

    async with beating(Heartbeat(alive, every=0.02, silent=0.3)):
        await until(given_back)
    rows = await query(database, "SELECT id, state, charge FROM generations")
    assert [tuple(row) for row in rows] == [(lost.id, "lost", 0)]
    assert not await dead.beat()


async def test_a_process_that_only_began_to_watch_frees_what_belongs_to_nobody_and_strikes_nobody_off(
    database: Database,
) -> None:
    account, holds = await open_account(database, balance=1000), Holds(database)
    silent, alive = Processes(database, "web"), Processes(database, "web")
    for each in (silent, alive):
        await each.register(same_machine=False)
    await query(database, "UPDATE processes SET heartbeat_at = now() - interval '1 hour' WHERE id = $1", silent.id)
    for begun in (generation(account, 50, process_id=silent.id), generation(account, 20)):
        assert (await holds.take(begun)).admitted

    async def given_back() -> bool:
        return await purse(database, account) == (1000, 50, 1)

    async with beating(Heartbeat(alive, every=0.02, silent=3600)):
        await until(given_back)
    assert await silent.beat()


async def test_one_that_was_struck_off_lets_go_of_everything_before_it_goes_on_under_a_new_id(
    database: Database,
) -> None:
    process = Processes(database, "worker")
    await process.register(same_machine=False)
    before, let_go = process.id, []

    async def let_go_of_all() -> None:
        let_go.append(process.id)

    async with beating(Heartbeat(process, every=0.02, when_struck_off=let_go_of_all)):
        await query(database, "DELETE FROM processes")

        async def back() -> bool:
            return process.id != before and bool(await query(database, "SELECT 1 FROM processes"))

        await until(back)
    assert let_go == [before]
