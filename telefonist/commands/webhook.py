"""``telefonist webhook secret | rotate | redeliver``: the signing secret, and what could not be delivered."""

from telefonist.app import open_house
from telefonist.commands.terminal import say, terminal_language
from telefonist.errors import ConfigurationError
from telefonist.logs import configure_logging
from telefonist.settings import Settings
from telefonist.texts import render


async def print_secret(settings: Settings) -> None:
    """Print the newest live secret and nothing else, so that a script can take it."""
    configure_logging("warning")
    async with open_house(settings, "command") as house:
        say((await house.secrets.live(None))[0])


async def rotate(settings: Settings) -> None:
    """Make a new secret and print it; raises ConfigurationError where the settings give the secret."""
    configure_logging("warning")
    if settings.delivery.signing_secrets:
        raise ConfigurationError(
            "The signing secret comes from TELEFONIST_WEBHOOK_SECRET. To rotate it, put the new one in front of the "
            "old one there, separated by a comma, and take the old one out when every receiver knows the new one."
        )
    async with open_house(settings, "command") as house:
        say(await house.secrets.rotate(None))


async def redeliver(settings: Settings, host: str) -> None:
    """Send everything again that is parked for a host, given as ``name:port``."""
    configure_logging("warning")
    async with open_house(settings, "command") as house:
        say(
            render("redelivering", terminal_language(), {"count": await house.tasks.redeliver_host(host), "host": host})
        )
