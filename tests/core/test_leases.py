"""Who works on a conversation when workers die, freeze or lose the database."""

import asyncio

from telefonist.core.mailbox import Rhythm
from telefonist.types import ChatRequest, Side, TaskState
from tests.core.conftest import Office, ScriptedModel, open_office
from tests.fakes.receiver import Receiver
from tests.waiting import until


async def answers(receiver: Receiver, count: int) -> list[str]:
    return [request.json["generated_response"] for request in await receiver.wait_for(count)]


def blocked(model: ScriptedModel) -> tuple[asyncio.Event, asyncio.Event]:
    asked, gate = asyncio.Event(), asyncio.Event()

    async def wait(request: ChatRequest) -> str:
        asked.set()
        await gate.wait()
        return f"{request.messages[-1]['content']} by the sleeper"

    model.answer = wait
    return asked, gate


async def test_the_work_of_a_dead_worker_is_taken_over(dsn: str) -> None:
    first, second = ScriptedModel(), ScriptedModel()
    asked, _ = blocked(first)
    async with Receiver() as receiver, open_office(dsn, first) as dying:
        for number in range(5):
            await dying.ask(f"{number}", receiver.url)
        await asked.wait()
        await dying.freeze()
        async with open_office(dsn, second):
            assert await answers(receiver, 5) == [f"re: {number}" for number in range(5)]


async def test_what_a_sleeper_writes_after_its_lease_is_gone_is_refused(dsn: str) -> None:
    first, second = ScriptedModel(), ScriptedModel()
    asked, gate = blocked(first)
    never = Rhythm(heartbeat=3600, poll=0.05, silent=0.5, reconcile=3600, retry=0.05)
    async with Receiver() as receiver, open_office(dsn, first, rhythm=never) as sleeper:
        accepted = await sleeper.ask("hello", receiver.url)
        await asked.wait()
        async with open_office(dsn, second) as awake:
            assert await answers(receiver, 1) == ["re: hello"]
            gate.set()

            async def let_go() -> bool:
                return not sleeper.worker.in_flight[Side.IN]

            await until(let_go)
            await awake.ask("and now?", receiver.url)
            assert await answers(receiver, 2) == ["re: hello", "re: and now?"]
            assert (await awake.see(accepted)).answer == "re: hello"
    assert [message["content"] for message in second.requests[-1].messages] == ["hello", "re: hello", "and now?"]


async def test_a_worker_that_was_struck_off_starts_anew_under_another_name(dsn: str, model: ScriptedModel) -> None:
    async with Receiver() as receiver, open_office(dsn, model) as office:
        before = office.worker.process_id
        async with office.database.begin() as connection:
            await connection.exec_driver_sql("DELETE FROM processes")

        async def renamed() -> bool:
            return office.worker.process_id != before

        await until(renamed)
        await office.ask("hello", receiver.url)
        assert await answers(receiver, 1) == ["re: hello"]


async def test_a_lease_that_nobody_works_under_is_found_and_freed(dsn: str, model: ScriptedModel) -> None:
    """A claim whose commit succeeded but whose answer was lost with the connection."""
    async with Receiver() as receiver, open_office(dsn, model) as office:
        await office.ask("one", receiver.url)
        await receiver.wait_for(1)

        async def idle() -> bool:
            return not any(office.worker.in_flight.values())

        await until(idle)
        async with office.database.begin() as connection:
            await connection.exec_driver_sql(
                f"UPDATE mailboxes SET leased_by = '{office.worker.process_id}', epoch = epoch + 1"
            )
        await office.ask("two", receiver.url)
        assert await answers(receiver, 2) == ["re: one", "re: two"]


async def test_a_stopping_worker_finishes_what_it_began_and_gives_back_the_rest(dsn: str) -> None:
    first, second = ScriptedModel(), ScriptedModel()
    asked, gate = blocked(first)
    async with Receiver() as receiver:
        async with open_office(dsn, first) as stopping:
            for number in range(3):
                await stopping.ask(f"{number}", receiver.url)
            await asked.wait()
            stop = asyncio.create_task(stopping.worker.stop(5.0))
            await asyncio.sleep(0)
            gate.set()
            await stop
            assert await answers(receiver, 1) == ["0 by the sleeper"]
        async with open_office(dsn, second):
            assert await answers(receiver, 3) == ["0 by the sleeper", "re: 1", "re: 2"]


async def test_two_workers_share_the_work_and_keep_every_order(dsn: str) -> None:
    first, second = ScriptedModel(), ScriptedModel()
    echo = first.answer

    async def unhurried(request: ChatRequest) -> str:
        await asyncio.sleep(0.02)
        return await echo(request)

    first.answer = unhurried
    async with (
        Receiver() as receiver,
        open_office(dsn, first, in_flight=5) as one,
        open_office(dsn, second, in_flight=5),
    ):
        await asyncio.gather(
            *(ask_in_order(one, receiver.url, f"c{conversation}", 8) for conversation in range(20)),
        )
        requests = await receiver.wait_for(160)
    for conversation in range(20):
        got = [r.json["generated_response"] for r in requests if r.json["conversation_id"] == f"c{conversation}"]
        assert got == [f"re: {number}" for number in range(8)]
    assert first.requests
    assert second.requests


async def ask_in_order(office: Office, url: str, conversation: str, count: int) -> None:
    for number in range(count):
        await office.ask(f"{number}", url, conversation)


async def test_a_database_connection_cut_at_any_moment_loses_nothing(dsn: str, model: ScriptedModel) -> None:
    async with Receiver() as receiver, open_office(dsn, model) as office:
        accepted = [await office.ask(f"{number}", receiver.url, f"c{number % 5}") for number in range(10)]
        for _ in range(5):
            async with office.database.begin() as connection:
                await connection.exec_driver_sql(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE pid <> pg_backend_pid() AND datname = current_database()"
                )
            await asyncio.sleep(0.02)

        async def all_done() -> bool:
            return all([(await office.see(task)).state is TaskState.SUCCEEDED for task in accepted])

        await until(all_done)

        async def all_told() -> bool:
            return {r.json["task_id"] for r in receiver.requests} == {str(task.task_id) for task in accepted}

        await until(all_told, timeout=15)
