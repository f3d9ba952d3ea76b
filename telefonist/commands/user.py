"""``telefonist user create-admin | reset-password | disable | enable | invite``: accounts, from the machine itself."""

import typer

from telefonist.app import open_house
from telefonist.commands.terminal import say, terminal_language
from telefonist.logs import configure_logging
from telefonist.settings import Settings
from telefonist.texts import render
from telefonist.types import AccountRole


async def create_admin(settings: Settings, email: str) -> None:
    """Make an administrator's account; one that is there becomes an administrator's and keeps its password."""
    configure_logging("warning")
    async with open_house(settings, "command") as house:
        account = await house.accounts.make_admin(email)
        if account is None:
            account = await house.accounts.create_admin(email, _password(settings))
            _tell("user_admin_created", account.email)
        else:
            _tell("user_made_admin", account.email)


async def reset_password(settings: Settings, email: str) -> None:
    """Give an account another password, which ends all its logins."""
    configure_logging("warning")
    async with open_house(settings, "command") as house:
        account = await house.accounts.find(email)
        await house.accounts.reset_password(email, _password(settings))
        _tell("user_password_reset", account.email)


async def disable(settings: Settings, email: str) -> None:
    """Shut an account out, with its keys."""
    configure_logging("warning")
    async with open_house(settings, "command") as house:
        await house.accounts.disable(email)
        _tell("user_disabled", email)


async def enable(settings: Settings, email: str) -> None:
    """Let an account in again."""
    configure_logging("warning")
    async with open_house(settings, "command") as house:
        await house.accounts.enable(email)
        _tell("user_enabled", email)


async def invite(settings: Settings, role: AccountRole, email: str | None) -> None:
    """Print an invite and nothing else, so that a script can take it."""
    configure_logging("warning")
    async with open_house(settings, "command") as house:
        _, code = await house.accounts.invite(role, email)
        say(code)


def _password(settings: Settings) -> str:
    """Take the password from TELEFONIST_ADMIN_PASSWORD, else ask for it twice without showing it."""
    if settings.admin_password is not None:
        return settings.admin_password
    language = terminal_language()
    asked: str = typer.prompt(
        render("user_ask_password", language),
        hide_input=True,
        confirmation_prompt=render("user_repeat_password", language),
        err=True,
    )
    return asked


def _tell(code: str, email: str | None) -> None:
    say(render(code, terminal_language(), {"email": email}))
