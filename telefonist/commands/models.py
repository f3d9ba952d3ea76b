"""``telefonist models [reset NAME]``: what can be asked for, and what it costs."""

import asyncio
import sys
from collections.abc import Mapping

from rich.console import Console
from rich.table import Table

from telefonist.app import open_house
from telefonist.commands.terminal import say, terminal_language
from telefonist.core.prices import default_price
from telefonist.errors import NotFound, TelefonistError
from telefonist.logs import configure_logging
from telefonist.settings import Settings
from telefonist.storage.database import Database
from telefonist.storage.embedded import EmbeddedPostgres
from telefonist.storage.prices import PriceOverrides
from telefonist.texts import render
from telefonist.types import Price, format_credits

PIPE_WIDTH = 200
"""Columns where there is no terminal whose width could be asked: nothing is cut for a script."""

PATIENCE = 3.0
"""Seconds to ask the database for the prices that administrators set: the list comes without it too."""


async def show(settings: Settings) -> None:
    """Print every model with its provider, window and price in force, in credits for 1000 tokens.

    What an administrator set is marked. Where the database is away, the prices are those of the settings, and a note
    says so.
    """
    configure_logging("critical")
    overrides = await _overrides(settings)
    table = Table("model", "also known as", "provider", "upstream name", "window", "credits/1k in", "credits/1k out")
    for model in settings.models:
        price, mark = default_price(model), ""
        if overrides and model.name in overrides:
            price, mark = overrides[model.name], "*"
        table.add_row(
            model.name + (" (default)" if model.name == settings.default_model else ""),
            ", ".join(model.aliases),
            model.provider,
            model.upstream,
            str(model.context_window),
            format_credits(price.input) + mark,
            format_credits(price.output) + mark,
        )
    Console(width=None if sys.stdout.isatty() else PIPE_WIDTH).print(table)
    if overrides is None:
        say(render("models_database_away", terminal_language()))
    elif any(model.name in overrides for model in settings.models):
        say(render("models_overridden", terminal_language()))


async def reset(settings: Settings, name: str) -> None:
    """Let the price of the settings apply again, also to a model that the settings have no longer.

    Raises NotFound for a name that is neither a model's nor in the database.
    """
    configure_logging("warning")
    async with open_house(settings, "command") as house:
        try:
            name = house.catalog.find(name).name
        except NotFound:
            if not await house.prices.reset(name, None):
                raise
            was_set = True
        else:
            was_set = await house.prices.reset(name, None)
        say(render("price_reset" if was_set else "price_not_set", terminal_language(), {"model": name}))


async def _overrides(settings: Settings) -> Mapping[str, Price] | None:
    """Read the prices that administrators set, making nothing; None where the database does not tell in time."""
    embedded = EmbeddedPostgres(settings.data_dir)
    try:
        if settings.database_url:
            return await _read(settings.database_url)
        if not embedded.has_data():
            return {}
        return await _read((await embedded.start()).dsn)
    except (TelefonistError, OSError, TimeoutError):
        return None
    finally:
        await embedded.stop()


async def _read(dsn: str) -> Mapping[str, Price]:
    database = Database(dsn)
    try:
        async with asyncio.timeout(PATIENCE):
            return await PriceOverrides(database).peek()
    finally:
        await database.close()
