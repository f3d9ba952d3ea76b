"""Signing secrets: made once, sealed at rest, two live while one is being changed."""

import asyncio

import pytest

from telefonist.core.webhook_secrets import WebhookSecrets
from telefonist.errors import ConfigurationError
from telefonist.storage.database import Database
from telefonist.storage.webhook_secrets import WebhookSecretStore


def secrets(database: Database, master: str = "master") -> WebhookSecrets:
    return WebhookSecrets(WebhookSecretStore(database, master))


async def test_the_first_secret_is_made_once_by_however_many_processes(database: Database) -> None:
    found = await asyncio.gather(*(secrets(database).live(None) for _ in range(10)))
    assert len(set(found)) == 1
    assert found[0][0].startswith("whsec_")


async def test_while_a_secret_is_changed_both_sign_and_the_new_one_stands_first(database: Database) -> None:
    book = secrets(database)
    (old,) = await book.live(None)
    new = await book.rotate(None)
    assert await book.live(None) == (new, old)
    async with database.begin() as connection:
        await connection.exec_driver_sql("UPDATE webhook_secrets SET expires_at = now() WHERE expires_at IS NOT NULL")
    assert await secrets(database).live(None) == (new,)


async def test_a_secret_from_the_settings_stands_above_the_stored_one(database: Database) -> None:
    await secrets(database).live(None)
    configured = WebhookSecrets(WebhookSecretStore(database, "master"), ["whsec_a", "whsec_b"])
    assert await configured.live(None) == ("whsec_a", "whsec_b")


async def test_secrets_cannot_be_read_in_the_database(database: Database) -> None:
    (secret,) = await secrets(database).live(None)
    async with database.begin() as connection:
        (row,) = await connection.exec_driver_sql("SELECT sealed FROM webhook_secrets")
    assert secret.removeprefix("whsec_").encode() not in row[0]


async def test_another_master_secret_is_told_apart_from_a_broken_database(database: Database) -> None:
    await secrets(database).live(None)
    with pytest.raises(ConfigurationError, match="TELEFONIST_SECRET"):
        await secrets(database, "another").live(None)
