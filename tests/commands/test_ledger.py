"""``telefonist ledger verify`` and ``telefonist user credit``."""

import asyncio
import os
import sys
from pathlib import Path

import pytest
from sqlalchemy import text

from telefonist.commands import ledger
from telefonist.errors import InvalidInput, NotFound
from telefonist.settings import Settings
from telefonist.storage.accounts import AccountStore
from telefonist.storage.audit import AuditLog
from telefonist.storage.database import Database
from telefonist.storage.ledger import Ledger


async def test_where_nothing_differs_that_is_said(
    settings: Settings, database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    await AccountStore(database).create("anna@example.com", "hash", start=5)
    assert await ledger.verify(settings)
    assert capsys.readouterr().out == "nothing differs\n"


async def test_each_difference_is_named_and_the_exit_status_tells(database: Database, dsn: str, folder: Path) -> None:
    anna = await AccountStore(database).create("anna@example.com", "hash", start=5_000_000)
    async with database.begin() as connection:
        await connection.execute(text("UPDATE balances SET balance = 7500000, held = 1, entries = 2"))
    verify = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        "from telefonist.cli import main; main()",
        "ledger",
        "verify",
        cwd=folder,
        env=os.environ | {"DATABASE_URL": dsn, "TELEFONIST_SECRET": "s" * 32},
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await verify.communicate()
    assert verify.returncode == 1
    assert output.decode().splitlines() == [
        f"balance {anna.id}: 7.5 is kept, 5 is due",
        f"entries {anna.id}: 2 is kept, 1 is due",
        f"held {anna.id}: 0.000001 is kept, 0 is due",
    ]


async def test_credits_are_added_and_taken_away_at_the_machine_itself(
    settings: Settings, database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    anna = await AccountStore(database).create("anna@example.com", "hash")
    await ledger.credit(settings, "Anna@example.com", "12.5", "a gift")
    await ledger.credit(settings, "anna@example.com", "-0.000001", "too much")
    assert capsys.readouterr().out.splitlines() == [
        "The balance of anna@example.com: 12.5",
        "The balance of anna@example.com: 12.499999",
    ]
    assert (await Ledger(database).balance(anna.id)).balance == 12_499_999
    assert [(entry.actor_id, entry.action) for entry in await AuditLog(database).entries(limit=2)] == [
        (None, "balance.changed")
    ] * 2


async def test_what_cannot_be_added_is_told_with_the_fix(settings: Settings, database: Database) -> None:
    await AccountStore(database).create("anna@example.com", "hash")
    for amount in ("0", "nothing", "0.0000001", "1e10", "NaN", "Infinity", "1e999999999"):
        with pytest.raises(InvalidInput, match="amount: "):
            await ledger.credit(settings, "anna@example.com", amount, "a gift")
    with pytest.raises(NotFound):
        await ledger.credit(settings, "boris@example.com", "5", "a gift")
