"""``telefonist ledger verify`` and ``telefonist user credit``: money, from the machine itself."""

from telefonist.app import open_house
from telefonist.commands.terminal import say, terminal_language
from telefonist.doors.credits import read_amount
from telefonist.logs import configure_logging
from telefonist.settings import Settings
from telefonist.storage.ledger import Ledger
from telefonist.storage.verification import Discrepancy, discrepancies
from telefonist.texts import render
from telefonist.types import format_credits

COUNTS = ("entries", "entry_number")
"""What is counted and not paid."""


async def verify(settings: Settings) -> bool:
    """Compute every balance and hold again, print what differs, and say whether all agrees."""
    configure_logging("warning")
    async with open_house(settings, "command") as house:
        found = await discrepancies(house.database)
    for difference in found:
        say(render("ledger_difference", terminal_language(), _values(difference)))
    if not found:
        say(render("ledger_agrees", terminal_language()))
    return not found


async def credit(settings: Settings, email: str, amount: str, reason: str) -> None:
    """Add credits to an account, or take some away; raises InvalidInput, NotFound and Conflict."""
    configure_logging("warning")
    change = read_amount(amount)
    async with open_house(settings, "command") as house:
        account = await house.accounts.find(email)
        entry = await Ledger(house.database).change(account.id, change, reason, None, None)
    values = {"email": account.email, "balance": format_credits(entry.balance)}
    say(render("user_balance_now", terminal_language(), values))


def _values(difference: Discrepancy) -> dict[str, object]:
    def shown(amount: int | None) -> str:
        if amount is None:
            return "–"
        return str(amount) if difference.what in COUNTS else format_credits(amount)

    return {
        "what": difference.what,
        "id": difference.id,
        "kept": shown(difference.kept),
        "due": shown(difference.due),
    }
