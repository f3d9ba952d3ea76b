"""Whose a credential is: remembered for three seconds, in every process apart."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from uuid import UUID

import pytest

from telefonist.core.access_tokens import AccessTokens
from telefonist.core.identification import KEY_PREFIX, MOST_REMEMBERED, REMEMBERED, Identification, key_digest
from telefonist.errors import CredentialsRefused
from telefonist.storage.accounts import AccountStore
from telefonist.storage.api_keys import ApiKeyStore
from telefonist.storage.database import Database
from telefonist.storage.sessions import SessionStore
from telefonist.storage.users import Users
from telefonist.types import AccountRole, Caller, KeyTerms

TOKENS = AccessTokens("m" * 32)
KEY = f"{KEY_PREFIX}{'k' * 43}"


@dataclass
class Process:
    """What one process knows of credentials, by a clock of its own."""

    identification: Identification
    now: list[float] = field(default_factory=lambda: [0.0])

    async def sees(self, credential: str) -> Caller | None:
        try:
            return await self.identification.identify(credential, "192.0.2.1", "en")
        except CredentialsRefused:
            return None


def process(database: Database) -> Process:
    now = [0.0]
    keys, sessions = ApiKeyStore(database), SessionStore(database)
    return Process(Identification(TOKENS, keys, sessions, clock=lambda: now[0]), now)


@dataclass(frozen=True)
class Ann:
    """An account with a key and a login."""

    id: UUID
    key_id: UUID
    session_id: UUID
    token: str


@pytest.fixture
async def ann(database: Database) -> Ann:
    account = await AccountStore(database).create("ann@example.com", "hash")
    key = await ApiKeyStore(database).create(account.id, "a key", key_digest(KEY), "tf-…", KeyTerms(), None)
    session = await SessionStore(database).open(account.id, "hash", b"refresh")
    assert session is not None
    return Ann(account.id, key.id, session, TOKENS.issue(account.id, session))


async def test_a_key_and_a_login_stand_for_their_account(database: Database, ann: Ann) -> None:
    here = process(database)
    by_key, by_token = await here.sees(KEY), await here.sees(ann.token)
    assert by_key is not None
    assert by_token is not None
    assert (by_key.account_id, by_key.key_id, by_key.session_id) == (ann.id, ann.key_id, None)
    assert (by_token.account_id, by_token.key_id, by_token.session_id) == (ann.id, None, ann.session_id)
    assert by_key.metered
    assert by_token.metered


Change = Callable[[Database, Ann], Awaitable[object]]


async def _revoke_key(database: Database, ann: Ann) -> None:
    await ApiKeyStore(database).revoke(ann.id, ann.key_id)


async def _end_session(database: Database, ann: Ann) -> None:
    await SessionStore(database).revoke(ann.session_id)


async def _disable(database: Database, ann: Ann) -> None:
    await Users(database).change(ann.id, None, True, None)


async def _change_password(database: Database, ann: Ann) -> None:
    await AccountStore(database).set_password(ann.id, "another hash", actor=None)


@pytest.mark.parametrize(
    ("change", "key_holds", "token_holds"),
    [
        (_revoke_key, False, True),
        (_end_session, True, False),
        (_change_password, True, False),
        (_disable, False, False),
    ],
)
async def test_what_changes_elsewhere_is_seen_within_five_seconds(
    database: Database, ann: Ann, change: Change, key_holds: bool, token_holds: bool
) -> None:
    other_process = process(database)
    assert await other_process.sees(KEY)
    assert await other_process.sees(ann.token)
    await change(database, ann)
    other_process.now[0] = 4.9
    assert bool(await other_process.sees(KEY)) is key_holds
    assert bool(await other_process.sees(ann.token)) is token_holds


async def test_storage_is_asked_once_in_three_seconds(database: Database, ann: Ann) -> None:
    here = process(database)
    await here.sees(KEY)
    await _revoke_key(database, ann)
    here.now[0] = REMEMBERED - 0.1
    assert await here.sees(KEY)
    here.now[0] = REMEMBERED
    assert not await here.sees(KEY)


async def test_what_was_changed_here_shows_here_at_once(database: Database, ann: Ann) -> None:
    here = process(database)
    await here.sees(KEY)
    await here.sees(ann.token)
    await _disable(database, ann)
    here.identification.forget(ann.id)
    assert not await here.sees(KEY)
    assert not await here.sees(ann.token)


async def test_the_role_is_the_accounts_and_not_the_tokens(database: Database, ann: Ann) -> None:
    here = process(database)
    before = await here.sees(ann.token)
    await Users(database).change(ann.id, AccountRole.ADMIN, None, None)
    here.now[0] = REMEMBERED
    after = await here.sees(ann.token)
    assert before is not None
    assert after is not None
    assert (before.role, after.role) == (AccountRole.CLIENT, AccountRole.ADMIN)


async def test_an_account_that_is_let_in_again_has_its_keys_but_no_login(database: Database, ann: Ann) -> None:
    await _disable(database, ann)
    await Users(database).change(ann.id, None, False, None)
    here = process(database)
    assert await here.sees(KEY)
    assert not await here.sees(ann.token)


async def test_a_key_ends_on_time_although_it_was_remembered(database: Database, ann: Ann) -> None:
    here = process(database)
    async with database.begin() as connection:
        await connection.exec_driver_sql("UPDATE api_keys SET expires_at = now() + interval '1 second'")
    assert await here.sees(KEY)
    async with database.begin() as connection:
        await connection.exec_driver_sql("UPDATE api_keys SET expires_at = now()")
    here.now[0] = 1.0
    assert not await here.sees(KEY)


async def test_each_call_has_the_address_and_language_it_came_with(database: Database, ann: Ann) -> None:
    here = process(database).identification
    for address, language in (("192.0.2.1", "en"), ("192.0.2.2", "ru"), ("192.0.2.1", "en")):
        caller = await here.identify(KEY, address, language)  # type: ignore[arg-type]
        assert (caller.address, caller.language) == (address, language)


async def test_invented_keys_fill_no_memory_and_push_out_nobody(database: Database, ann: Ann) -> None:
    here = process(database)
    await here.sees(KEY)
    await database.close()  # whatever is asked of storage now fails
    assert await here.sees(KEY)
    refused = here.identification._refused
    for number in range(MOST_REMEMBERED + 100):
        refused.keep(number.to_bytes(4, "big"), None, REMEMBERED)
    assert len(refused) == MOST_REMEMBERED
    assert await here.sees(KEY)


async def test_an_invented_key_is_asked_of_storage_once(database: Database) -> None:
    here = process(database)
    invented = f"{KEY_PREFIX}invented"
    assert not await here.sees(invented)
    account = await AccountStore(database).create("bob@example.com", "hash")
    await ApiKeyStore(database).create(account.id, "late", key_digest(invented), "tf-…", KeyTerms(), None)
    assert not await here.sees(invented)
    here.now[0] = REMEMBERED
    assert await here.sees(invented)
