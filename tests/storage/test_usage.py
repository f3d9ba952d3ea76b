"""Usage by day and model: days are those of UTC, whole, and nobody sees another account's."""

import json
import re
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import event, insert, text

from telefonist.storage.database import Database
from telefonist.storage.schema import generations
from telefonist.storage.usage import UsageReports
from telefonist.types import ANONYMOUS_ACCOUNT, GenerationState, UsageRow, new_id

ANNA, BORIS = new_id(), new_id()
DAY = date(2026, 3, 29)
MIDNIGHT = datetime(2026, 3, 29, tzinfo=UTC)


@pytest.fixture
def reports(database: Database) -> UsageReports:
    return UsageReports(database)


def id_at(moment: datetime) -> UUID:
    milliseconds = int(moment.timestamp() * 1000)
    return UUID(int=milliseconds << 80 | new_id().int & (1 << 80) - 1)


async def generated(
    database: Database,
    began: datetime,
    *,
    account: UUID = ANNA,
    model: str = "demo",
    charge: int = 100,
    state: GenerationState = GenerationState.SUCCEEDED,
    tokens: int = 10,
    clock_step: timedelta = timedelta(),
) -> None:
    row = {
        "id": id_at(began + clock_step),
        "account_id": account,
        "door": "api",
        "model": model,
        "served_by": model,
        "state": state.value,
        "streamed": False,
        "prompt_tokens": tokens,
        "completion_tokens": 2 * tokens,
        "cached_tokens": 1,
        "estimated": False,
        "input_price": 1,
        "output_price": 1,
        "charge": charge,
        "started_at": began,
    }
    async with database.begin() as connection:
        await connection.execute(insert(generations).values(row))


async def test_generations_are_summed_by_day_and_model(database: Database, reports: UsageReports) -> None:
    for hours, model in ((1, "demo"), (5, "demo"), (6, "other"), (25, "demo")):
        await generated(database, MIDNIGHT + timedelta(hours=hours), model=model)
    assert await reports.by_day_and_model(ANNA, DAY, DAY + timedelta(days=1)) == [
        UsageRow("2026-03-29", "demo", 2, 20, 40, 2, 200),
        UsageRow("2026-03-29", "other", 1, 10, 20, 1, 100),
        UsageRow("2026-03-30", "demo", 1, 10, 20, 1, 100),
    ]


async def test_a_day_is_a_day_of_utc_to_its_last_microsecond(database: Database, reports: UsageReports) -> None:
    microsecond = timedelta(microseconds=1)
    for moment in (
        MIDNIGHT - microsecond,
        MIDNIGHT,
        MIDNIGHT + timedelta(days=1) - microsecond,
        MIDNIGHT + timedelta(days=1),
    ):
        await generated(database, moment)
    assert await reports.by_day_and_model(ANNA, DAY, DAY) == [UsageRow("2026-03-29", "demo", 2, 20, 40, 2, 200)]


async def test_the_days_do_not_follow_the_time_zone_of_the_database(database: Database, reports: UsageReports) -> None:
    async with database.begin() as connection:
        name = await connection.scalar(text("SELECT current_database()"))
        await connection.execute(text(f"ALTER DATABASE {name} SET timezone = 'Pacific/Kiritimati'"))
    await database.engine.dispose()
    await generated(database, MIDNIGHT)
    await generated(database, MIDNIGHT + timedelta(hours=23))
    (row,) = await reports.by_day_and_model(ANNA, DAY, DAY)
    assert (row.day, row.generations) == ("2026-03-29", 2)


async def test_a_generation_is_found_though_the_clock_moved_between_its_id_and_its_beginning(
    database: Database, reports: UsageReports
) -> None:
    await generated(database, MIDNIGHT, clock_step=timedelta(milliseconds=-3))
    await generated(database, MIDNIGHT + timedelta(hours=23, minutes=59, seconds=59), clock_step=timedelta(seconds=2))
    (row,) = await reports.by_day_and_model(ANNA, DAY, DAY)
    assert row.generations == 2


async def test_nobody_sees_what_others_used_and_the_whole_counts_everybody(
    database: Database, reports: UsageReports
) -> None:
    for account in (ANNA, BORIS, BORIS, ANONYMOUS_ACCOUNT):
        await generated(database, MIDNIGHT, account=account)
    (annas,) = await reports.by_day_and_model(ANNA, DAY, DAY)
    (everybodys,) = await reports.by_day_and_model(None, DAY, DAY)
    assert annas.generations == 1
    assert (everybodys.generations, everybodys.charge) == (4, 400)


async def test_what_failed_is_counted_and_costs_nothing(database: Database, reports: UsageReports) -> None:
    await generated(database, MIDNIGHT, state=GenerationState.FAILED, tokens=0, charge=0)
    await generated(database, MIDNIGHT, state=GenerationState.CANCELLED, tokens=3, charge=30)
    assert await reports.by_day_and_model(ANNA, DAY, DAY) == [UsageRow("2026-03-29", "demo", 2, 3, 6, 2, 30)]


async def test_sums_may_be_larger_than_what_one_generation_can_hold(database: Database, reports: UsageReports) -> None:
    for _ in range(2):
        await generated(database, MIDNIGHT, tokens=2**30 - 1, charge=2**61)
    (row,) = await reports.by_day_and_model(ANNA, DAY, DAY)
    assert (row.completion_tokens, row.charge) == (2**32 - 4, 2**62)


async def test_any_days_can_be_asked_for(reports: UsageReports) -> None:
    assert await reports.by_day_and_model(ANNA, date(2000, 1, 1), date(9000, 1, 1)) == []


async def test_an_accounts_report_is_served_by_the_index_on_its_ids(database: Database, reports: UsageReports) -> None:
    asked: list[tuple[str, tuple[object, ...]]] = []

    def notice(*arguments: Any) -> None:
        asked.append((arguments[2], arguments[3]))

    event.listen(database.engine.sync_engine, "before_cursor_execute", notice)
    await reports.by_day_and_model(ANNA, DAY, DAY)
    ((statement, parameters),) = asked
    async with database.begin() as connection:
        await connection.exec_driver_sql("SET LOCAL enable_seqscan = off")  # the table is empty, and a scan is cheaper
        plan = await connection.exec_driver_sql(f"EXPLAIN (FORMAT JSON) {statement}", parameters)
        conditions = re.findall(r'"Index Cond": "(.*?)"', str(json.dumps(plan.scalar_one())))
    assert any("account_id =" in condition and "id >=" in condition and "id <" in condition for condition in conditions)
