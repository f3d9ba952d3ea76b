"""A bot that has only its token: the service asks Telegram for updates, and loses none."""

import asyncio
from pathlib import Path

import asyncpg

from telefonist.storage.database import Database
from telefonist.storage.leadership import Leadership
from tests.doors.conftest import Serve
from tests.doors.telegram_service import open_service
from tests.fakes.openai_upstream import answer
from tests.waiting import until


async def test_a_token_alone_is_enough(serve: Serve, dsn: str, tmp_path: Path) -> None:
    async with open_service(serve, dsn, tmp_path) as service:
        service.upstream.default = answer("Два")
        anna = service.telegram.person("Анна")
        await anna.writes("Сколько будет 1 + 1?")
        await anna.reads_text("Два")
        await service.telegram.wait_until(lambda: not service.telegram.waiting, what="the confirmation")
        assert [command["command"] for command in service.telegram.commands["ru"]][:2] == ["start", "help"]
        assert service.telegram.webhook.allowed == ("message", "edited_message", "callback_query", "my_chat_member")


async def test_a_webhook_that_is_set_is_told_of_and_waited_out(serve: Serve, dsn: str, tmp_path: Path) -> None:
    async with open_service(serve, dsn, tmp_path) as service:
        service.telegram.refuse("getUpdates", 409, "Conflict: can't use getUpdates method while webhook is active")
        anna = service.telegram.person("Анна")
        await anna.writes("Привет")
        await anna.reads(1)


async def test_updates_wait_at_telegram_until_they_are_stored(serve: Serve, dsn: str, tmp_path: Path) -> None:
    async with open_service(serve, dsn, tmp_path) as service:
        async with service.database.begin() as connection:
            await connection.exec_driver_sql("ALTER TABLE telegram_updates RENAME TO away")
        anna = service.telegram.person("Анна")
        await anna.writes("Привет")
        await service.telegram.wait_until(lambda: service.telegram.called("getUpdates"), what="the fetching")
        assert service.telegram.waiting
        async with service.database.begin() as connection:
            await connection.exec_driver_sql("ALTER TABLE away RENAME TO telegram_updates")
        await anna.reads(1)
        assert len(anna.texts) == 1


async def test_only_one_leads_and_another_takes_over_when_its_connection_is_gone(dsn: str) -> None:
    database = Database(dsn)
    try:
        first, second = Leadership(database, "updates"), Leadership(database, "updates")
        async with first.take() as lost:
            assert lost is not None
            async with second.take() as none:
                assert none is None
            async with Leadership(database, "something else").take() as other:
                assert other is not None
            connection = await asyncpg.connect(dsn)
            await connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'telefonist updates'"
            )
            await connection.close()
            async with asyncio.timeout(5):
                await lost.wait()

            async def taken() -> bool:
                async with second.take() as ours:
                    return ours is not None

            await until(taken)
    finally:
        await database.close()
