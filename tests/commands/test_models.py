"""``telefonist models``: the prices in force, wherever they come from, and back to the settings' own."""

from pathlib import Path

import asyncpg
import pytest

from telefonist.commands import models
from telefonist.errors import NotFound
from telefonist.settings import Settings, load_settings
from telefonist.storage.database import Database
from telefonist.storage.embedded import EmbeddedPostgres
from telefonist.storage.prices import PriceOverrides
from telefonist.types import Price, new_id
from tests.conftest import with_database

NOWHERE = "postgresql://nobody@127.0.0.1:1/nothing"


def prices(output: str, model: str) -> list[str]:
    (row,) = (line for line in output.splitlines() if f"│ {model}" in line)
    return [cell.strip() for cell in row.split("│")][-3:-1]


async def test_the_prices_are_those_of_the_settings(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    await models.show(settings)
    output = capsys.readouterr().out
    assert prices(output, "dear") == ["1.5", "4"]
    assert prices(output, "vendor/model:free") == ["0", "0"]
    assert "*" not in output


async def test_what_an_administrator_set_is_shown_and_marked(
    settings: Settings, database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    await PriceOverrides(database).set("dear", Price(2_000_001, 0), None)
    await models.show(settings)
    output = capsys.readouterr().out
    assert prices(output, "dear") == ["2.000001*", "0*"]
    assert prices(output, "vendor/model:free") == ["0", "0"]
    assert "telefonist models reset NAME" in output


async def test_without_the_database_the_list_comes_all_the_same(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    await models.show(load_settings({"DATABASE_URL": NOWHERE, "TELEFONIST_SECRET": "s" * 32}, folder))
    output, problems = capsys.readouterr()
    assert prices(output, "dear") == ["1.5", "4"]
    assert "The database did not answer" in output
    assert problems == ""


async def test_a_database_without_tables_is_listed_from_and_left_as_it_is(
    folder: Path, postgres: str, capsys: pytest.CaptureFixture[str]
) -> None:
    connection = await asyncpg.connect(postgres)
    name = f"test_{new_id().hex}"
    await connection.execute(f"CREATE DATABASE {name}")
    empty = with_database(postgres, name)
    await models.show(load_settings({"DATABASE_URL": empty, "TELEFONIST_SECRET": "s" * 32}, folder))
    assert prices(capsys.readouterr().out, "dear") == ["1.5", "4"]
    inside = await asyncpg.connect(empty)
    assert await inside.fetchval("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == 0
    await inside.close()
    await connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
    await connection.close()


async def test_listing_makes_no_database(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = folder / "data"
    await models.show(load_settings({"TELEFONIST_DATA_DIR": str(data)}, folder))
    assert prices(capsys.readouterr().out, "dear") == ["1.5", "4"]
    assert not EmbeddedPostgres(data).has_data()


@pytest.mark.parametrize("name", ["vendor/model:free", "free"])
async def test_a_price_is_reset_by_name_or_alias(
    settings: Settings, database: Database, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    overrides = PriceOverrides(database)
    await overrides.set("vendor/model:free", Price(1, 1), None)
    await models.reset(settings, name)
    assert await overrides.read() == {}
    await models.reset(settings, name)
    assert capsys.readouterr().out.splitlines() == [
        "The price of vendor/model:free is that of the settings again.",
        "The price of vendor/model:free is that of the settings already.",
    ]


async def test_a_price_that_outlived_its_model_can_be_reset_and_a_misspelt_name_is_told(
    settings: Settings, database: Database
) -> None:
    overrides = PriceOverrides(database)
    await overrides.set("gone", Price(1, 1), None)
    await models.reset(settings, "gone")
    assert await overrides.read() == {}
    with pytest.raises(NotFound, match="Known models: vendor/model:free, dear"):
        await models.reset(settings, "gone")
