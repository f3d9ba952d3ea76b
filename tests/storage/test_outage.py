"""What the log says of a database that fails."""

import pytest
import structlog

from telefonist.errors import Unavailable
from telefonist.storage import lines
from telefonist.storage.database import Database
from telefonist.storage.lines import Line, Outage

FULL = "DO $$ BEGIN RAISE disk_full USING MESSAGE = 'could not extend file: No space left on device'; END $$"
STOPPING = "DO $$ BEGIN RAISE admin_shutdown USING MESSAGE = 'terminating connection'; END $$"


async def fail(line: Line, statement: str) -> None:
    with pytest.raises(Unavailable):
        await line.run(lambda connection: connection.execute(statement))


async def work(line: Line) -> None:
    await line.run(lambda connection: connection.execute("SELECT 1"))


async def test_an_outage_is_told_once_for_each_reason_however_many_find_out(database: Database) -> None:
    used = [database.line(f"{number}") for number in range(3)]
    with structlog.testing.capture_logs() as told:
        for statement in (FULL, FULL, STOPPING, FULL):
            for line in used:
                await fail(line, statement)
    assert [(entry["event"], entry["log_level"]) for entry in told] == [("database_unavailable", "error")] * 2
    assert "No space left on device" in told[0]["reason"]


async def test_the_end_of_an_outage_is_told_once_everybody_is_through(database: Database) -> None:
    used = [database.line(f"{number}") for number in range(2)]
    with structlog.testing.capture_logs() as told:
        for _ in range(2):
            for line in used:
                await fail(line, FULL)
            for line in (*used, *used):
                await work(line)
    assert [entry["event"] for entry in told] == ["database_unavailable", "database_available"] * 2


def test_a_connection_that_nobody_tries_any_more_does_not_keep_an_outage_going(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "STATEMENT_TIMEOUT", 0.0)
    outage, refused = Outage(), ConnectionRefusedError("refused")
    with structlog.testing.capture_logs() as told:
        outage.failed("everyday pool", refused)
        for _ in range(2):
            outage.failed("accept", refused)
            outage.passed("accept")
    assert [entry["event"] for entry in told] == ["database_unavailable", "database_available"] * 2
