"""The composition root: which memory a process gets, and which processes may stand beside each other."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import pytest

from telefonist.app import House, ProcessKind, open_house
from telefonist.core.heartbeat import Heartbeat
from telefonist.errors import ConfigurationError, Unavailable
from telefonist.memory.local import LocalRateLimiter
from telefonist.settings import Settings, load_settings
from tests.memory.redis_server import running_redis

NOWHERE = "redis://127.0.0.1:1"
"""Where no Redis is: a closed port (tcpmux)."""


class Folder:
    """Where processes on one database start."""

    def __init__(self, path: Path, dsn: str) -> None:
        self._path = path
        self._dsn = dsn

    def write(self, name: str, content: str) -> None:
        (self._path / name).write_text(content, encoding="utf-8")

    def settings(self, **environ: str) -> Settings:
        return load_settings({"DATABASE_URL": self._dsn, "TELEFONIST_SECRET": "s" * 32, **environ}, self._path)

    @asynccontextmanager
    async def running(self, kind: ProcessKind, **environ: str) -> AsyncIterator[House]:
        async with open_house(self.settings(**environ), kind) as house:
            assert house.processes is not None
            beating = asyncio.create_task(Heartbeat(house.processes, every=0.05).run())
            try:
                yield house
            finally:
                beating.cancel()
                await asyncio.wait([beating])

    async def processes(self) -> int:
        connection = await asyncpg.connect(self._dsn)
        try:
            return int(await connection.fetchval("SELECT count(*) FROM processes"))
        finally:
            await connection.close()


@pytest.fixture
def folder(tmp_path: Path, dsn: str) -> Folder:
    return Folder(tmp_path, dsn)


async def test_a_second_web_process_without_redis_is_refused_and_told_why(folder: Folder) -> None:
    async with folder.running("serve"), folder.running("worker"), folder.running("worker"):
        with pytest.raises(ConfigurationError) as refused:
            async with open_house(folder.settings(), "web"):
                raise AssertionError("it opened")
        assert f"pid {os.getpid()} on host" in str(refused.value)
        assert "set REDIS_URL for each of them" in str(refused.value)
        assert await folder.processes() == 3
    assert await folder.processes() == 0
    async with folder.running("web"):
        assert await folder.processes() == 1


async def test_a_start_that_fails_leaves_the_place_free(folder: Folder) -> None:
    folder.write("ca.pem", "no certificate")
    folder.write(
        "telefonist.toml",
        """
        providers = [{ name = "inhouse", base_url = "https://llm.example/v1", ca_bundle = "ca.pem" }]
        models = [{ name = "m", provider = "inhouse" }]
        """,
    )
    with pytest.raises(ConfigurationError, match="ca_bundle"):
        async with open_house(folder.settings(), "serve"):
            raise AssertionError("it opened")
    assert await folder.processes() == 0


async def test_another_secret_stops_the_start_and_says_what_to_do(folder: Folder) -> None:
    async with folder.running("worker", TELEFONIST_SECRET="a" * 32):
        pass
    with pytest.raises(ConfigurationError, match=r"another TELEFONIST_SECRET\. Give .* the secret it had"):
        async with open_house(folder.settings(TELEFONIST_SECRET="b" * 32), "worker"):
            raise AssertionError("it opened")
    async with folder.running("worker", TELEFONIST_SECRET="a" * 32):
        assert await folder.processes() == 1


async def test_web_processes_with_one_redis_stand_beside_each_other_and_count_together(folder: Folder) -> None:
    with running_redis() as redis:
        async with (
            folder.running("serve", REDIS_URL=redis.url) as one,
            folder.running("web", REDIS_URL=redis.url) as two,
        ):
            assert await folder.processes() == 2
            assert (await one.memory.limiter.hit("1/minute", "a")).allowed
            assert not (await two.memory.limiter.hit("1/minute", "a")).allowed


async def test_a_redis_that_is_away_does_not_stop_the_start(folder: Folder) -> None:
    async with folder.running("serve", REDIS_URL=NOWHERE) as house:
        assert (await house.memory.limiter.hit("1/minute", "a")).allowed
        assert not (await house.memory.limiter.hit("1/minute", "a")).allowed


async def test_whether_requests_pass_without_redis_is_a_setting(folder: Folder) -> None:
    async with folder.running("web", REDIS_URL=NOWHERE, TELEFONIST_REDIS_AWAY="refuse") as house:
        with pytest.raises(Unavailable):
            await house.memory.limiter.hit("1/minute", "a")


async def test_alone_and_in_commands_the_memory_is_of_the_process(folder: Folder) -> None:
    async with open_house(folder.settings(), "serve") as house:
        assert isinstance(house.memory.limiter, LocalRateLimiter)
    async with open_house(folder.settings(REDIS_URL=NOWHERE), "command") as house:
        assert isinstance(house.memory.limiter, LocalRateLimiter)
        assert house.processes is None
