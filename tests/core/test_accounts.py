"""Accounts as whoever runs the service makes and changes them; invites; logins that race."""

import asyncio
from dataclasses import dataclass

import pytest

from telefonist.core.access_tokens import AccessTokens
from telefonist.core.accounts import REGISTRATIONS, Accounts, Registration
from telefonist.core.identification import Identification
from telefonist.core.logins import FAILURES_OF_NETWORK, Logins
from telefonist.core.passwords import HASHER, LONGEST_QUEUE, NOBODYS, Passwords
from telefonist.errors import (
    AccessDenied,
    Conflict,
    CredentialsRefused,
    InvalidInput,
    LoginFailed,
    NotFound,
    RateLimited,
    Unavailable,
)
from telefonist.memory.local import LocalRateLimiter
from telefonist.storage.accounts import AccountStore
from telefonist.storage.api_keys import ApiKeyStore
from telefonist.storage.audit import AuditLog
from telefonist.storage.database import Database
from telefonist.storage.invites import InviteStore
from telefonist.storage.sessions import SessionStore
from telefonist.storage.users import Users
from telefonist.types import AccountRole

PASSWORD = "correct horse"
ANN = "ann@example.com"
HOME = "192.0.2.1"


@dataclass
class Office:
    accounts: Accounts
    logins: Logins
    limiter: LocalRateLimiter


def open_office(database: Database, registration: Registration) -> Office:
    store, sessions, passwords = AccountStore(database), SessionStore(database), Passwords()
    tokens, limiter = AccessTokens("m" * 32), LocalRateLimiter()
    identification = Identification(tokens, ApiKeyStore(database), sessions)
    accounts = Accounts(store, Users(database), InviteStore(database), passwords, identification, limiter, registration)
    return Office(accounts, Logins(store, sessions, passwords, tokens, identification, limiter), limiter)


@pytest.fixture
def office(database: Database) -> Office:
    return open_office(database, Registration())


async def test_an_invite_is_good_once_and_gives_its_role(database: Database) -> None:
    accounts = open_office(database, Registration("invite")).accounts
    _, invite = await accounts.invite(AccountRole.OPERATOR, None)
    outcomes = await asyncio.gather(
        *(accounts.register(f"{number}@example.com", PASSWORD, invite, HOME) for number in range(5)),
        return_exceptions=True,
    )
    (made,) = [outcome for outcome in outcomes if not isinstance(outcome, BaseException)]
    assert made.role is AccountRole.OPERATOR
    assert sum(isinstance(outcome, AccessDenied) for outcome in outcomes) == 4


async def test_an_invite_for_an_address_is_good_for_no_other(database: Database) -> None:
    accounts = open_office(database, Registration("invite")).accounts
    _, invite = await accounts.invite(AccountRole.CLIENT, " Ann@Example.com")
    with pytest.raises(AccessDenied, match="invite"):
        await accounts.register("bob@example.com", PASSWORD, invite, HOME)
    assert (await accounts.register(ANN, PASSWORD, invite, HOME)).email == ANN
    with pytest.raises(Conflict):
        await accounts.invite(AccountRole.CLIENT, ANN)


async def test_an_invite_that_is_past_is_refused_and_one_whose_registration_failed_is_not_used_up(
    database: Database,
) -> None:
    accounts = open_office(database, Registration("invite")).accounts
    _, invite = await accounts.invite(AccountRole.CLIENT, None)
    _, other = await accounts.invite(AccountRole.CLIENT, None)
    await accounts.register(ANN, PASSWORD, other, HOME)
    with pytest.raises(Conflict):
        await accounts.register(ANN, PASSWORD, invite, HOME)
    async with database.begin() as connection:
        await connection.exec_driver_sql("UPDATE invites SET expires_at = now()")
    with pytest.raises(AccessDenied):
        await accounts.register("bob@example.com", PASSWORD, invite, HOME)
    async with database.begin() as connection:
        await connection.exec_driver_sql(
            "UPDATE invites SET expires_at = now() + interval '1 hour' WHERE used_at IS NULL"
        )
    assert (await accounts.register("bob@example.com", PASSWORD, invite, HOME)).email == "bob@example.com"


async def test_what_a_new_account_begins_with_stands_in_the_ledger(database: Database) -> None:
    account = await open_office(database, Registration(start=1_500_000)).accounts.register(ANN, PASSWORD, None, HOME)
    without = await open_office(database, Registration()).accounts.register("bob@example.com", PASSWORD, None, HOME)
    async with database.begin() as connection:
        balances = await connection.exec_driver_sql("SELECT account_id, balance, held, entries FROM balances")
        ledger = await connection.exec_driver_sql("SELECT account_id, number, kind, amount, balance FROM ledger")
        assert set(balances) == {(account.id, 1_500_000, 0, 1), (without.id, 0, 0, 0)}
        assert list(ledger) == [(account.id, 1, "top_up", 1_500_000, 1_500_000)]


async def test_registrations_from_one_network_are_limited(office: Office) -> None:
    for _ in range(int(REGISTRATIONS.partition("/")[0])):
        await office.limiter.hit(REGISTRATIONS, "register", HOME)
    with pytest.raises(RateLimited):
        await office.accounts.register(ANN, PASSWORD, None, HOME)
    assert (await office.accounts.register(ANN, PASSWORD, None, "192.0.2.2")).email == ANN


async def test_an_administrator_is_made_anew_or_of_a_known_account(office: Office, database: Database) -> None:
    assert await office.accounts.make_admin(ANN) is None
    assert (await office.accounts.create_admin(ANN, PASSWORD)).role is AccountRole.ADMIN
    await office.accounts.register("bob@example.com", PASSWORD, None, HOME)
    bob = await office.accounts.make_admin("Bob@example.com")
    assert bob is not None
    assert bob.role is AccountRole.ADMIN
    assert (await office.logins.login("bob@example.com", PASSWORD, HOME)).access_token
    actions = [(entry.actor_id, entry.action) for entry in await AuditLog(database).entries()]
    assert actions == [
        (None, "account.role_changed"),
        (bob.id, "account.created"),
        (None, "account.created"),
    ]


async def test_resetting_a_password_ends_every_login(office: Office) -> None:
    await office.accounts.register(ANN, PASSWORD, None, HOME)
    tokens = await office.logins.login(ANN, PASSWORD, HOME)
    await office.accounts.reset_password(ANN, "battery staple")
    with pytest.raises(CredentialsRefused):
        await office.logins.refresh(tokens.refresh_token)
    with pytest.raises(LoginFailed):
        await office.logins.login(ANN, PASSWORD, HOME)
    assert (await office.logins.login(ANN, "battery staple", HOME)).access_token


async def test_a_disabled_account_is_told_so_only_if_the_password_is_right(office: Office) -> None:
    await office.accounts.register(ANN, PASSWORD, None, HOME)
    tokens = await office.logins.login(ANN, PASSWORD, HOME)
    await office.accounts.disable(ANN)
    with pytest.raises(LoginFailed):
        await office.logins.login(ANN, "wrong horse", HOME)
    with pytest.raises(AccessDenied) as refused:
        await office.logins.login(ANN, PASSWORD, HOME)
    assert refused.value.code == "account_disabled"
    with pytest.raises(CredentialsRefused):
        await office.logins.refresh(tokens.refresh_token)
    await office.accounts.enable(ANN)
    assert (await office.logins.login(ANN, PASSWORD, HOME)).access_token


async def test_commands_about_nobody_say_so(office: Office) -> None:
    for command in (office.accounts.disable, office.accounts.enable, office.accounts.find):
        with pytest.raises(NotFound, match=r"ann@example\.com"):
            await command(ANN)
    with pytest.raises(NotFound):
        await office.accounts.reset_password(ANN, PASSWORD)
    for text in ("no address", "a" * 1_000_000 + "@example.com"):
        with pytest.raises(InvalidInput, match="email"):
            await office.accounts.find(text)


async def test_of_two_who_refresh_with_one_token_at_once_neither_stays_in(office: Office) -> None:
    await office.accounts.register(ANN, PASSWORD, None, HOME)
    tokens = await office.logins.login(ANN, PASSWORD, HOME)
    outcomes = await asyncio.gather(
        *(office.logins.refresh(tokens.refresh_token) for _ in range(2)), return_exceptions=True
    )
    (renewed,) = [outcome for outcome in outcomes if not isinstance(outcome, BaseException)]
    with pytest.raises(CredentialsRefused):
        await office.logins.refresh(renewed.refresh_token)


async def test_no_login_survives_a_password_that_changes_beside_it(office: Office) -> None:
    await office.accounts.register(ANN, PASSWORD, None, HOME)
    for number in range(5):
        old, new = (PASSWORD, "battery staple")[:: 1 - 2 * (number % 2)]
        login, _ = await asyncio.gather(
            office.logins.login(ANN, old, HOME), office.accounts.reset_password(ANN, new), return_exceptions=True
        )
        if isinstance(login, BaseException):
            assert isinstance(login, LoginFailed)
            continue
        with pytest.raises(CredentialsRefused):
            await office.logins.refresh(login.refresh_token)


async def test_a_password_is_not_changed_by_who_knew_the_one_before_the_last(
    office: Office, database: Database
) -> None:
    account = await office.accounts.register(ANN, PASSWORD, None, HOME)
    store = AccountStore(database)
    checked = await store.get(account.id)
    assert checked is not None
    await office.accounts.reset_password(ANN, "battery staple")
    assert not await store.set_password(account.id, "a thief's", actor=account.id, replacing=checked.password)
    assert (await office.logins.login(ANN, "battery staple", HOME)).access_token


async def test_every_spelling_of_an_address_is_limited_as_one(office: Office) -> None:
    spellings = ["ann@example.com", " Ann@example.com", "ann@EXAMPLE.com", "ann@ｅxample.com", "ann@exampl\u24d4.com"]
    for number in range(10):
        with pytest.raises(LoginFailed):
            await office.logins.login(spellings[number % 5], "wrong horse", f"192.0.2.{number}")
    for spelling in spellings:
        with pytest.raises(RateLimited):
            await office.logins.login(spelling, "wrong horse", "198.51.100.1")


async def test_guesses_from_one_network_are_limited_whoever_they_are_for(office: Office) -> None:
    for _ in range(99):
        await office.limiter.hit(FAILURES_OF_NETWORK, "login-network", HOME)
    with pytest.raises(LoginFailed):
        await office.logins.login("bob@example.com", "wrong horse", HOME)
    with pytest.raises(RateLimited):
        await office.logins.login("eve@example.com", "wrong horse", HOME)
    with pytest.raises(LoginFailed):
        await office.logins.login("eve@example.com", "wrong horse", "192.0.2.2")


async def test_while_the_database_is_away_no_failure_is_counted(database: Database) -> None:
    office = open_office(Database("postgresql://nobody@127.0.0.1:1/nowhere"), Registration())
    for _ in range(30):
        with pytest.raises(Unavailable):
            await office.logins.login(ANN, PASSWORD, HOME)


async def test_a_user_who_does_not_exist_costs_as_much_as_one_who_does() -> None:
    assert not HASHER.check_needs_rehash(NOBODYS)  # the same algorithm, memory, passes and lanes
    passwords = Passwords()
    assert not await passwords.matches("anything", None)
    assert not await passwords.matches("", NOBODYS)
    passwords.close()


async def test_passwords_that_come_in_a_crowd_are_put_off_and_not_piled_up() -> None:
    passwords = Passwords()
    outcomes = await asyncio.gather(
        *(passwords.matches("anything", "$argon2id$broken") for _ in range(LONGEST_QUEUE + 20)), return_exceptions=True
    )
    assert sum(isinstance(outcome, Unavailable) for outcome in outcomes) == 20
    passwords.close()


async def test_what_is_stored_of_a_password_is_an_argon2id_hash_with_salt() -> None:
    passwords = Passwords()
    first, second = await passwords.hash(PASSWORD), await passwords.hash(PASSWORD)
    assert first != second
    assert first.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert await passwords.matches(PASSWORD, second)
    assert not await passwords.matches(PASSWORD + " ", second)
    passwords.close()
