"""What it costs to charge a generation so that no crash can lose or double it: a hold and its settlement.

``python -m bench.holds`` runs rounds of concurrent generations that do nothing but take a hold and settle it, on a
PostgreSQL of its own, and says what our process and PostgreSQL used for a thousand of them, in CPU seconds.
"""

import argparse
import asyncio
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID

import psutil
import uvloop

from bench.measure import CpuMeter, environment, medians, save, table, tree
from telefonist.storage.database import Database
from telefonist.storage.embedded import EmbeddedPostgres
from telefonist.storage.holds import Holds
from telefonist.storage.migrate import migrate
from telefonist.storage.verification import discrepancies
from telefonist.types import Door, GenerationState, NewGeneration, Price, Settlement, Usage, new_id, utc_now

CONNECTIONS = 128
ACCOUNTS = (1, 100)
BALANCE = 10**15
PRICE = Price(input=1000, output=2000)

OPEN = """
WITH registered AS (
    INSERT INTO accounts (id, role) SELECT id, 'client' FROM unnest($1::uuid[]) AS id
), topped_up AS (
    INSERT INTO ledger (account_id, number, id, kind, amount, balance)
    SELECT id, 1, id, 'top_up', $2, $2 FROM unnest($1::uuid[]) AS id
)
INSERT INTO balances (account_id, balance, entries) SELECT id, $2::bigint, 1 FROM unnest($1::uuid[]) AS id
"""


async def measure(count: int, rounds: int, *, free: bool) -> None:
    """Run the rounds, interleaved, and print their medians."""
    with _folder() as folder:
        server = EmbeddedPostgres(folder)
        info = await server.start()
        database = Database(info.dsn)
        try:
            await migrate(database)
            described = environment(folder, [])
            figures: dict[int, list[Mapping[str, float]]] = {accounts: [] for accounts in ACCOUNTS}
            for number in range(rounds + 1):
                for accounts in ACCOUNTS:
                    opened = await _open_accounts(database, accounts)
                    seen = await _round(database, psutil.Process(info.pid), opened, count, free=free)
                    if number:  # the first warms up
                        figures[accounts].append(seen)
            assert await discrepancies(database) == []
        finally:
            await database.close()
            await server.stop()
    results = {accounts: medians(seen) for accounts, seen in figures.items()}
    save(
        "holds-free" if free else "holds",
        {"environment": described, "count": count, "rounds": rounds, "free": free, "results": results},
    )
    head = ["accounts", "generations/s", "our CPU-s per 1000", "PostgreSQL CPU-s per 1000"]
    rows = [
        [str(accounts), f"{seen['rate']:.0f}", f"{seen['ours']:.3f}", f"{seen['database']:.3f}"]
        for accounts, seen in results.items()
    ]
    print(table([head, *rows]))


async def _round(
    database: Database, server: psutil.Process, accounts: list[UUID], count: int, *, free: bool
) -> Mapping[str, float]:
    holds, process_id, me = Holds(database), new_id(), psutil.Process()
    left = iter(range(count))

    async def client() -> None:
        for number in left:
            await _generate(holds, process_id, accounts[number % len(accounts)], free=free)

    meter = CpuMeter(lambda: {"ours": [me], "database": tree(server)})
    started = time.perf_counter()
    await asyncio.gather(*(client() for _ in range(CONNECTIONS)))
    seconds = time.perf_counter() - started
    used = meter.used()
    return {"rate": count / seconds} | {part: 1000 * used[part] / count for part in ("ours", "database")}


async def _generate(holds: Holds, process_id: UUID, account_id: UUID, *, free: bool) -> None:
    generation = NewGeneration(
        id=new_id(),
        process_id=process_id,
        account_id=account_id,
        key_id=None,
        door=Door.API,
        model="bench",
        price=Price() if free else PRICE,
        hold=0 if free else 600,
        streamed=False,
        started_at=utc_now(),
    )
    if not free:
        assert (await holds.take(generation)).admitted
    usage = Usage(prompt_tokens=20, completion_tokens=100)
    settlement = Settlement(generation, GenerationState.SUCCEEDED, "bench", usage, charge=0 if free else 220)
    assert await holds.settle(settlement) is GenerationState.SUCCEEDED


async def _open_accounts(database: Database, count: int) -> list[UUID]:
    accounts = [new_id() for _ in range(count)]
    await database.line("settlements").run(lambda connection: connection.execute(OPEN, accounts, BALANCE))
    return accounts


@contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="telefonist-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


def main() -> None:
    """Read the command line and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=20_000, help="generations in a round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--free", action="store_true", help="a free model: no hold, only the settlement")
    given = parser.parse_args()
    uvloop.run(measure(given.count, given.rounds, free=given.free))


if __name__ == "__main__":
    main()
