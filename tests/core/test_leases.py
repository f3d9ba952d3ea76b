"""Who works on a conversation when workers die, freeze or lose the database."""

import asyncio
from datetime import datetime
from itertools import groupby

import asyncpg
import pytest
import structlog

from telefonist.core import mailbox
from telefonist.core.heartbeat import Heartbeat
from telefonist.core.mailbox import Rhythm
from telefonist.errors import Unavailable
from telefonist.storage.database import Database
from telefonist.storage.intake import Intake
from telefonist.storage.mailboxes import CHANNEL
from telefonist.storage.processes import Processes
from telefonist.types import ChatRequest, NewTask, Side, TaskState
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
        cutting = await asyncpg.connect(dsn)
        for _ in range(5):
            await cutting.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE pid <> pg_backend_pid() AND datname = current_database()"
            )
            await asyncio.sleep(0.02)
        await cutting.close()

        async def all_done() -> bool:
            try:
                return all([(await office.see(task)).state is TaskState.SUCCEEDED for task in accepted])
            except Unavailable:  # each connection finds out by itself that it was cut
                return False

        await until(all_done)

        async def all_told() -> bool:
            return {r.json["task_id"] for r in receiver.requests} == {str(task.task_id) for task in accepted}

        await until(all_told, timeout=15)
        for conversation in range(5):
            got = [
                r.json["generated_response"]
                for r in receiver.requests
                if r.json["conversation_id"] == f"c{conversation}"
            ]
            repeats_aside = [text for text, _ in groupby(got)]
            assert repeats_aside == [f"re: {conversation}", f"re: {conversation + 5}"]


async def test_work_superseded_in_its_own_process_is_stopped_and_disturbs_nobody(
    dsn: str, model: ScriptedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mailbox, "PARTING", 0.05)
    asked = asyncio.Event()

    async def only_the_second_time(_: ChatRequest) -> str:
        if len(model.requests) == 1:
            asked.set()
            await asyncio.Event().wait()
        return "the second answer"

    model.answer = only_the_second_time
    async with open_office(dsn, model) as office, Receiver() as receiver:
        await office.ask("hello", receiver.url)
        await asked.wait()
        async with office.database.begin() as connection:  # as when others strike us off and we come back
            await connection.exec_driver_sql("UPDATE mailboxes SET leased_by = NULL, epoch = epoch + 1, due_at = now()")
        assert await answers(receiver, 1) == ["the second answer"]
        assert (model.cancelled, len(model.requests)) == (1, 2)
        await office.ask("and now?", receiver.url)
        assert await answers(receiver, 2) == ["the second answer"] * 2


async def test_whoever_wakes_first_from_a_stall_of_the_database_strikes_nobody_off(
    dsn: str, model: ScriptedModel
) -> None:
    rhythm = Rhythm(heartbeat=0.02, poll=0.05, silent=0.8, reconcile=3600, retry=0.05)
    database = Database(dsn)
    dead, living = Processes(database, "worker"), Processes(database, "worker")
    await dead.register(same_machine=False)
    async with open_office(dsn, model, rhythm=rhythm) as office:
        await living.register(same_machine=False)
        beating = asyncio.create_task(Heartbeat(living, every=0.02, silent=3600).run())

        async def struck_off() -> bool:
            return await heartbeat(database, dead) is None

        await until(struck_off)  # from here on the office trusts its clock of the others
        beating.cancel()
        await asyncio.wait([beating])
        await stall(dsn, seconds=1.0)
        seen: set[datetime | None] = set()

        async def looked_around_since() -> bool:
            seen.add(await heartbeat(database, office.processes))
            return len(seen) > 2

        await until(looked_around_since)
        assert await living.beat()
    await database.close()


async def heartbeat(database: Database, of: Processes) -> datetime | None:
    """Read when a process last showed that it lives; None when it is not on the list."""
    async with database.begin() as connection:
        row = await connection.exec_driver_sql(f"SELECT heartbeat_at FROM processes WHERE id = '{of.id}'")
        moment: datetime | None = row.scalar()
        return moment


async def stall(dsn: str, seconds: float) -> None:
    """Let every heartbeat wait, as on a server that stands still."""
    connection = await asyncpg.connect(dsn)
    try:
        async with connection.transaction():
            await connection.execute("LOCK TABLE processes IN ACCESS EXCLUSIVE MODE")
            await connection.execute("SELECT pg_sleep($1)", seconds)
    finally:
        await connection.close()


async def test_a_full_worker_takes_new_work_as_soon_as_a_place_is_free(dsn: str, model: ScriptedModel) -> None:
    gates = {"first": asyncio.Event(), "second": asyncio.Event()}

    async def wait(request: ChatRequest) -> str:
        text = request.messages[-1]["content"]
        if text in gates:
            await gates[text].wait()
        return f"re: {text}"

    model.answer = wait
    never_looks_by_itself = Rhythm(heartbeat=0.05, poll=3600, silent=5, reconcile=3600, retry=0.05)
    async with (
        open_office(dsn, model, in_flight=3, rhythm=never_looks_by_itself) as office,
        Receiver() as receiver,
    ):
        listens, heard = asyncio.Event(), asyncio.Event()
        office.worker.on_notice("ready", lambda _: listens.set())
        office.worker.on_notice("later", lambda _: heard.set())

        async def idle() -> bool:
            await notify(office, "ready")
            with office.worker.place(Side.IN) as free:
                return listens.is_set() and free is not None

        await until(idle)
        await office.ask("first", receiver.url, "a")
        await office.ask("second", receiver.url, "b")
        with office.worker.place(Side.IN) as kept:
            assert kept is not None
            waiting = NewTask("waiting", receiver.url, "c", "scripted")
            await Intake(office.database).accept(waiting, None, 5, None)
            await notify(office, "later")
            await heard.wait()  # so the worker has heard of the new work, too, and found no place
        gates["first"].set()
        assert await answers(receiver, 2) == ["re: first", "re: waiting"]


async def notify(office: Office, notice: str) -> None:
    async with office.database.begin() as connection:
        await connection.exec_driver_sql(f"SELECT pg_notify('{CHANNEL}', '{notice}')")


async def test_log_lines_about_a_conversation_carry_the_id_of_no_request(dsn: str, model: ScriptedModel) -> None:
    ids: list[dict[str, str]] = []
    echo = model.answer

    async def look(request: ChatRequest) -> str:
        ids.append(dict(structlog.contextvars.get_contextvars()))
        return await echo(request)

    model.answer = look
    async with open_office(dsn, model) as office, Receiver() as receiver:
        with structlog.contextvars.bound_contextvars(request_id="of a stranger"):
            await office.ask("hello", receiver.url)
        await receiver.wait_for(1)
    assert [set(bound) for bound in ids] == [{"conversation_id"}]
