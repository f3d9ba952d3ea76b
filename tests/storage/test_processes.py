"""Who is on the list of processes, and that only one of them serves the web unless they share a Redis."""

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from functools import partial
from uuid import UUID

import pytest
import structlog

from telefonist.storage.database import Database
from telefonist.storage.processes import Processes
from tests.waiting import until

SILENT, WATCHED = 0.6, 0.4

Start = Callable[[str], Processes]


@pytest.fixture
async def start(dsn: str) -> AsyncIterator[Start]:
    """Start processes of a kind, each with its own connections; they are not on the list yet."""
    async with AsyncExitStack() as stack:

        def start(kind: str) -> Processes:
            database = Database(dsn)
            stack.push_async_callback(database.close)
            return Processes(database, kind)

        yield start


@pytest.fixture
async def alive() -> AsyncIterator[Callable[[Processes], None]]:
    """Keep processes alive until the test ends."""
    async with asyncio.TaskGroup() as group:
        beating: list[asyncio.Task[None]] = []

        def keep(processes: Processes) -> None:
            beating.append(group.create_task(keep_beating(processes)))

        yield keep
        for task in beating:
            task.cancel()


async def enter_alone(processes: Processes, *, same_machine: bool = False) -> bool:
    other = await processes.register_alone(same_machine=same_machine, silent=SILENT, watched=WATCHED)
    return other is None


async def keep_beating(processes: Processes) -> None:
    while True:
        if not await processes.beat():
            await processes.register(same_machine=False)
        await asyncio.sleep(0.05)


async def ids(database: Database) -> set[UUID]:
    line = database.line("test")
    rows = await line.run(lambda connection: connection.fetch("SELECT id FROM processes"))
    return {row["id"] for row in rows}


async def change(database: Database, statement: str, *values: object) -> None:
    line = database.line("test")
    await line.run(lambda connection: connection.execute(statement, *values))


@pytest.mark.parametrize(("first", "second"), [("serve", "web"), ("web", "serve")])
async def test_a_second_web_process_learns_who_holds_the_place(
    start: Start, alive: Callable[[Processes], None], database: Database, first: str, second: str
) -> None:
    holder = start(first)
    assert await enter_alone(holder)
    alive(holder)
    other = await start(second).register_alone(same_machine=False)
    assert other is not None
    assert (other.id, other.kind, other.pid) == (holder.id, first, os.getpid())
    assert other.host
    assert datetime.now(UTC) - other.started_at < timedelta(seconds=10)
    assert await ids(database) == {holder.id}


async def test_workers_and_the_web_process_do_not_stand_in_each_others_way(
    start: Start, alive: Callable[[Processes], None], database: Database
) -> None:
    workers = [start("worker") for _ in range(3)]
    await workers[0].register(same_machine=False)
    alive(workers[0])
    web = start("serve")
    assert await enter_alone(web)
    await workers[1].register(same_machine=False)
    await workers[2].register(same_machine=True)
    assert await ids(database) == {process.id for process in (*workers, web)}


async def test_the_place_of_a_process_that_left_is_free_at_once(start: Start) -> None:
    first, second = start("serve"), start("serve")
    assert await enter_alone(first)
    await first.leave()
    assert await second.register_alone(same_machine=False, silent=3600) is None


async def test_a_process_that_leaves_while_another_waits_makes_room(start: Start) -> None:
    leaving, waiting = start("serve"), start("serve")
    assert await enter_alone(leaving)
    entering = asyncio.create_task(waiting.register_alone(same_machine=False, silent=3600))
    with structlog.testing.capture_logs() as lines:

        async def noticed() -> bool:
            return bool(lines)

        await until(noticed)
    await leaving.leave()
    assert await entering is None


async def test_a_killed_process_is_waited_out_and_not_for_long(start: Start, database: Database) -> None:
    killed, heir = start("serve"), start("serve")
    assert await enter_alone(killed)
    started = time.monotonic()
    assert await enter_alone(heir)
    assert SILENT - 0.2 < time.monotonic() - started < SILENT + WATCHED + 2
    assert await ids(database) == {heir.id}
    assert not await killed.beat()


async def test_one_killed_long_ago_is_only_watched_for_a_moment(start: Start, database: Database) -> None:
    killed, heir = start("serve"), start("serve")
    assert await enter_alone(killed)
    await change(database, "UPDATE processes SET heartbeat_at = now() - interval '1 day'")
    started = time.monotonic()
    assert await heir.register_alone(same_machine=False, silent=3600, watched=WATCHED) is None
    assert WATCHED <= time.monotonic() - started < WATCHED + 2


async def test_a_living_process_with_an_old_heartbeat_is_not_struck_off(
    start: Start, alive: Callable[[Processes], None], database: Database
) -> None:
    """After an outage of the database every heartbeat is old, until its process finds the database again."""
    living, newcomer = start("serve"), start("serve")
    assert await enter_alone(living)
    await change(database, "UPDATE processes SET heartbeat_at = now() - interval '1 day'")
    entering = asyncio.create_task(newcomer.register_alone(same_machine=False, silent=0.1, watched=5))
    with structlog.testing.capture_logs() as lines:

        async def noticed() -> bool:
            return bool(lines)

        await until(noticed)
    alive(living)
    other = await entering
    assert other is not None
    assert other.id == living.id
    assert await ids(database) == {living.id}


async def test_of_many_that_start_in_the_same_moment_exactly_one_gets_in(
    start: Start, alive: Callable[[Processes], None], database: Database
) -> None:
    starting = [start("serve") for _ in range(8)]

    async def begin(process: Processes) -> bool:
        alone = await enter_alone(process)
        if alone:
            alive(process)
        return alone

    won = await asyncio.gather(*(begin(process) for process in starting))
    assert sum(won) == 1
    assert await ids(database) == {process.id for process, alone in zip(starting, won, strict=True) if alone}


async def test_of_many_heirs_of_a_killed_process_exactly_one_gets_in(
    start: Start, alive: Callable[[Processes], None], database: Database
) -> None:
    assert await enter_alone(start("serve"))
    await test_of_many_that_start_in_the_same_moment_exactly_one_gets_in(start, alive, database)


async def test_on_the_same_machine_a_dead_pid_is_struck_off_at_once(start: Start, database: Database) -> None:
    killed, heir = start("serve"), start("serve")
    assert await enter_alone(killed)
    ended = await asyncio.create_subprocess_exec(sys.executable, "-c", "")
    await ended.wait()
    await change(database, "UPDATE processes SET pid = $1", ended.pid)
    assert await heir.register_alone(same_machine=True, silent=3600) is None
    assert await ids(database) == {heir.id}


async def test_on_the_same_machine_a_pid_that_somebody_else_has_by_now_is_struck_off_too(
    start: Start, database: Database
) -> None:
    killed, heir = start("serve"), start("serve")
    assert await enter_alone(killed)
    await change(database, "UPDATE processes SET started_at = started_at - interval '1 day'")
    assert await heir.register_alone(same_machine=True, silent=3600) is None
    assert await ids(database) == {heir.id}


async def test_on_the_same_machine_a_living_process_keeps_its_place(
    start: Start, alive: Callable[[Processes], None]
) -> None:
    living = start("serve")
    assert await enter_alone(living)
    alive(living)
    assert not await enter_alone(start("web"), same_machine=True)


async def test_processes_that_share_a_redis_do_not_ask_for_the_place(start: Start, database: Database) -> None:
    web = [start("serve"), start("web")]
    for process in web:
        await process.register(same_machine=False)
    assert await ids(database) == {process.id for process in web}


async def test_one_that_wakes_to_find_its_place_taken_says_so(
    start: Start, alive: Callable[[Processes], None], database: Database
) -> None:
    frozen, heir = start("serve"), start("serve")
    assert await enter_alone(frozen)
    assert await enter_alone(heir)
    alive(heir)
    with structlog.testing.capture_logs() as lines:
        alive(frozen)
        await until(partial(_logged, lines, "second_web_process"))
    assert await ids(database) == {frozen.id, heir.id}


async def _logged(lines: list[structlog.typing.EventDict], event: str) -> bool:
    return event in [line["event"] for line in lines]
