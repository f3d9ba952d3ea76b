"""``telefonist migrate``: the tables' shape."""

from telefonist.app import open_house
from telefonist.commands.terminal import say
from telefonist.logs import configure_logging
from telefonist.settings import Settings


async def migrate(settings: Settings) -> None:
    """Apply what is missing and say that all is well."""
    configure_logging("warning")
    async with open_house(settings, "command"):
        say("The database is up to date.")
