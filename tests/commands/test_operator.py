"""``telefonist operator invite | list``."""

import re

import pytest
from sqlalchemy import text

from telefonist.commands import operator
from telefonist.core.operator_invites import code_digest
from telefonist.settings import Settings
from telefonist.storage.accounts import AccountStore
from telefonist.storage.audit import AuditLog
from telefonist.storage.database import Database
from telefonist.storage.operators import Operators, redeem
from telefonist.types import AccountRole, Operator


async def use(database: Database, code: str, telegram_id: int, name: str = "Olga") -> Operator | None:
    async with database.begin() as connection:
        return await redeem(connection, code_digest(code), telegram_id, name, 5, "ru")


async def test_an_invite_is_printed_alone_and_makes_one_operator(
    settings: Settings, database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    await operator.invite(settings, may_invite=True)
    code = capsys.readouterr().out.removesuffix("\n")
    assert re.fullmatch(r"[\w-]{22}", code)
    olga = await use(database, code, 17)
    assert olga is not None
    assert (olga.telegram_id, olga.name, olga.may_invite, olga.online) == (17, "Olga", True, False)
    assert await use(database, code, 18) is None
    assert [entry.action for entry in await AuditLog(database).entries()] == ["operator.registered", "operator.invited"]


async def test_an_invite_is_good_for_a_day_and_its_code_is_nowhere_kept(
    settings: Settings, database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    await operator.invite(settings, may_invite=False)
    code = capsys.readouterr().out.strip()
    async with database.begin() as connection:
        stored = str((await connection.execute(text("SELECT * FROM operator_invites"))).one())
        assert code not in stored
        await connection.execute(text("UPDATE operator_invites SET expires_at = expires_at - interval '24 hours'"))
    assert await use(database, code, 17) is None
    assert await use(database, "no-such-code", 17) is None


async def test_who_was_shut_out_comes_back_by_a_new_invite(
    settings: Settings, database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(2):
        await operator.invite(settings, may_invite=False)
    first, second = capsys.readouterr().out.split()
    before = await use(database, first, 17)
    async with database.begin() as connection:
        await connection.execute(text("UPDATE operators SET disabled_at = now()"))
    assert await Operators(database).of_telegram(17) is None
    after = await use(database, second, 17)
    assert before is not None
    assert after == before
    assert await Operators(database).of_telegram(17) == before


async def test_operators_are_listed_with_what_they_are_linked_to(
    settings: Settings, database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    await operator.show(settings)
    assert capsys.readouterr().out.startswith("There are no operators yet: telefonist operator invite")
    staff = Operators(database)
    account = await AccountStore(database).create("olga@example.com", "hash", AccountRole.OPERATOR)
    made = await staff.of_account(account.id, 7, "en")
    assert made is not None
    await staff.set_online(made.id, online=True)
    await operator.show(settings)
    assert capsys.readouterr().out == (
        f"{made.id}  online   olga@example.com  (Telegram -, conversations at once: 7)\n"
    )
