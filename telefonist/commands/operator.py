"""``telefonist operator invite | list``: who answers in the bot's place."""

from telefonist.app import open_house
from telefonist.commands.terminal import say, terminal_language
from telefonist.core.operator_invites import invite as make_invite
from telefonist.logs import configure_logging
from telefonist.settings import Settings
from telefonist.texts import render


async def invite(settings: Settings, *, may_invite: bool) -> None:
    """Print an invite and nothing else, so that a script can take it."""
    configure_logging("warning")
    async with open_house(settings, "command") as house:
        say(await make_invite(house.handoffs.staff, None, may_invite=may_invite))


async def show(settings: Settings) -> None:
    """List the operators: who is there, what they are linked to, how many conversations they can have."""
    configure_logging("warning")
    language = terminal_language()
    async with open_house(settings, "command") as house:
        staff = await house.handoffs.staff.all()
    if not staff:
        say(render("operators_none", language))
    for each in staff:
        code = "operator_online" if each.online else "operator_offline"
        telegram = "-" if each.telegram_id is None else str(each.telegram_id)
        values = {"id": each.id, "name": each.name, "telegram": telegram, "capacity": each.capacity}
        say(render(code, language, values))
