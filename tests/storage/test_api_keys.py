"""API keys: found many at a time, their use noted without a queue."""

import asyncio
from datetime import datetime
from uuid import UUID

import pytest

from telefonist.storage.accounts import AccountStore
from telefonist.storage.api_keys import ApiKeyStore
from telefonist.storage.database import Database
from telefonist.types import KeyTerms

TERMS = KeyTerms(("demo",), 5, 6, 7, 8)


@pytest.fixture
async def ann(database: Database) -> UUID:
    return (await AccountStore(database).create("ann@example.com", "hash")).id


async def used(database: Database) -> datetime | None:
    async with database.begin() as connection:
        moment: datetime | None = (await connection.exec_driver_sql("SELECT last_used_at FROM api_keys")).scalar_one()
        return moment


async def test_many_keys_are_found_in_one_statement_each_with_its_own_terms(database: Database, ann: UUID) -> None:
    keys = ApiKeyStore(database)
    bob = (await AccountStore(database).create("bob@example.com", "hash")).id
    await keys.create(ann, "a", b"a", "tf-…", TERMS, None)
    await keys.create(bob, "b", b"b", "tf-…", KeyTerms(), None)
    found = await asyncio.gather(*(keys.find(digest) for digest in (b"a", b"x", b"b", b"a")))
    assert [None if each is None else (each.account_id, each.terms) for each in found] == [
        (ann, TERMS),
        None,
        (bob, KeyTerms()),
        (ann, TERMS),
    ]


async def test_the_use_of_a_key_is_noted_once_a_minute(database: Database, ann: UUID) -> None:
    keys = ApiKeyStore(database)
    await keys.create(ann, "a", b"a", "tf-…", KeyTerms(), None)
    await keys.find(b"a")
    first = await used(database)
    assert first is not None
    await keys.find(b"a")
    assert await used(database) == first
    async with database.begin() as connection:
        await connection.exec_driver_sql("UPDATE api_keys SET last_used_at = now() - interval '61 seconds'")
    await keys.find(b"a")
    later = await used(database)
    assert later is not None
    assert later > first


async def test_a_key_is_found_although_somebody_else_holds_its_row(database: Database, ann: UUID) -> None:
    keys = ApiKeyStore(database)
    await keys.create(ann, "a", b"a", "tf-…", KeyTerms(), None)
    async with database.begin() as connection:
        await connection.exec_driver_sql("SELECT * FROM api_keys FOR UPDATE")
        async with asyncio.timeout(5):
            assert await keys.find(b"a") is not None
    assert await used(database) is None


async def test_the_use_of_a_key_that_does_not_hold_is_not_noted(database: Database, ann: UUID) -> None:
    keys = ApiKeyStore(database)
    made = await keys.create(ann, "a", b"a", "tf-…", KeyTerms(), None)
    await keys.revoke(ann, made.id)
    assert await keys.find(b"a") is None
    assert await used(database) is None
