"""kill -9 of what takes money, and of where the money is, under load: nobody pays twice, or for what never came."""

import asyncio
import json
import random
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from decimal import Decimal
from pathlib import Path

import asyncpg
import httpx
import pytest

from tests.fakes.receiver import unused_port
from tests.faults.conversations import together
from tests.faults.database import StandalonePostgres, kill_embedded_postgres
from tests.faults.paying import Books, CountingModel, Customer, Load, open_accounts
from tests.memory.redis_server import running_redis
from tests.service import Service, run
from tests.waiting import until

GIVEN_BACK = 10.0
"""Seconds within which a dead process's holds are given back."""

BETWEEN = (20, 120)
"""Answers that come between two kills, at least and at most."""


@pytest.fixture
def chance() -> random.Random:
    seed = random.SystemRandom().randrange(1 << 32)
    print(f"random.Random({seed})")
    return random.Random(seed)


@pytest.fixture
async def upstream(folder: Path, chance: random.Random) -> AsyncIterator[CountingModel]:
    async with CountingModel(chance) as upstream:
        upstream.configure(folder)
        yield upstream


@pytest.fixture
async def books(folder: Path) -> AsyncIterator[Books]:
    async with StandalonePostgres(folder / "data") as postgres:
        books = Books(postgres.dsn)
        yield books
        await books.close()


@pytest.mark.parametrize("kills", [pytest.param(3, id="3"), pytest.param(20, id="20", marks=pytest.mark.deep)])
async def test_every_answer_is_charged_as_the_upstream_counted_it_and_none_that_was_cut(
    folder: Path, upstream: CountingModel, books: Books, chance: random.Random, kills: int
) -> None:
    async with Service(folder, TELEFONIST_PORT=str(unused_port())) as service:
        load = Load(await open_accounts(folder, service.client), chance)
        async with load.flowing(service.url):
            for number in range(kills):
                await load.answered(chance.randint(*BETWEEN))
                if number % 5 == 2:
                    await kill_postgres(folder, books, load)
                else:
                    await kill(service, books, load, revived=True)
                assert await books.differences() == []
            await load.answered(BETWEEN[0])
        await check(service.client, books, load, upstream)
        verified = await run(folder, "ledger", "verify")
        assert (verified.status, verified.output) == (0, "nothing differs"), verified


@pytest.mark.parametrize("kills", [pytest.param(1, id="1"), pytest.param(6, id="6", marks=pytest.mark.deep)])
async def test_a_web_process_gives_back_what_another_held_that_was_killed_though_no_worker_runs(
    folder: Path, upstream: CountingModel, books: Books, chance: random.Random, kills: int
) -> None:
    with running_redis() as redis:
        webs = [
            Service(folder, "serve", "--no-worker", TELEFONIST_PORT=str(unused_port()), REDIS_URL=redis.url)
            for _ in range(2)
        ]
        async with together(*webs):
            load = Load(await open_accounts(folder, webs[0].client), chance)
            async with load.flowing(*(web.url for web in webs)):
                for number in range(kills):
                    dying, other = webs[number % 2], webs[1 - number % 2]
                    if not other.running:
                        await revive(other)
                    await load.answered(chance.randint(*BETWEEN))
                    await kill(dying, books, load, revived=False)
                    assert await books.differences() == []
            await check(other.client, books, load, upstream)


async def kill(service: Service, books: Books, load: Load, *, revived: bool) -> None:
    """kill -9, and see that what was under way is lost, costs nothing, and is held no more; start it again or not."""
    process_id = await books.process_of(service)
    load.cut_all()
    await service.kill()
    async with asyncio.TaskGroup() as group:
        giving_back = group.create_task(books.given_back(process_id, GIVEN_BACK))
        if revived:
            group.create_task(revive(service))
    lost = giving_back.result()
    rows = await books.rows("SELECT state, charge FROM generations WHERE id = ANY($1)", lost)
    assert [tuple(row) for row in rows] == [("lost", 0)] * len(lost)


async def revive(service: Service) -> None:
    await service.start()
    await service.ready()


async def kill_postgres(folder: Path, books: Books, load: Load) -> None:
    """kill -9, and see that of what was under way nothing is held any more when it is back."""
    [row] = await books.rows("SELECT clock_timestamp() AS killed_at")
    load.cut_all()
    await kill_embedded_postgres(folder)

    async def settled() -> bool:
        return not await books.rows("SELECT FROM holds WHERE started_at < $1", row["killed_at"])

    await until(settled, GIVEN_BACK)


async def check(client: httpx.AsyncClient, books: Books, load: Load, upstream: CountingModel) -> None:
    """Compare what the clients received, what the upstream counted and what is in the books."""

    async def nothing_held() -> bool:
        return not await books.rows("SELECT FROM holds")

    await until(nothing_held, GIVEN_BACK)
    assert await books.differences() == []
    generations = await books.rows("SELECT * FROM generations")
    check_answers(generations, load, upstream)
    charged = Counter((row["id"], row["charge"]) for row in generations if row["charge"])
    entries = await books.rows("SELECT generation_id, -amount AS charge FROM ledger WHERE kind = 'charge'")
    assert Counter((row["generation_id"], row["charge"]) for row in entries) == charged
    for customer in load.customers:
        spent = sum(row["charge"] for row in generations if row["account_id"] == customer.account_id)
        balance = Decimal(customer.paid_in - spent) / 1_000_000
        assert await shown_balance(client, customer) == {"balance": balance, "held": 0, "available": balance}
    assert load.statuses[402] > 0


def check_answers(generations: Sequence[asyncpg.Record], load: Load, upstream: CountingModel) -> None:
    """See that what came whole is charged once, as it was counted, and nothing else but what was cut on its last way.

    The upstream numbers its answers by the tokens of the prompt.
    """
    assert {row["state"] for row in generations} == {"succeeded", "lost"}
    assert all(row["charge"] == 0 for row in generations if row["state"] == "lost")
    succeeded = {row["prompt_tokens"]: row for row in generations if row["state"] == "succeeded"}
    assert len(succeeded) == sum(row["state"] == "succeeded" for row in generations)
    for number, row in succeeded.items():
        assert upstream.counted[number].finished
        assert row["charge"] == upstream.counted[number].charge > 0
    received = {whole.number: whole for whole in load.whole}
    assert len(received) == len(load.whole) > 0
    for number, whole in received.items():
        assert whole.marker == upstream.counted[number].marker
        assert whole.usage in (None, upstream.counted[number].usage)
        assert whole.customer.account_id == succeeded[number]["account_id"]
        assert whole.customer.key_id == succeeded[number]["key_id"]
    assert {upstream.counted[number].marker for number in succeeded.keys() - received.keys()} <= load.cut


async def shown_balance(client: httpx.AsyncClient, customer: Customer) -> dict[str, Decimal]:
    """Ask as the customer does, once more where the database had been away."""

    async def shown() -> httpx.Response | None:
        answer = await client.get("/me/balance", headers=customer.person.headers)
        assert answer.status_code in (200, 503), answer.text
        return answer if answer.status_code == 200 else None

    answer = await until(shown)
    assert answer is not None
    return {name: Decimal(amount) for name, amount in json.loads(answer.text, parse_float=Decimal).items()}
