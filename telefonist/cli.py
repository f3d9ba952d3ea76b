"""The command line: ``telefonist serve | worker | demo | migrate | models | user | ledger | telegram...``."""

import asyncio
import sys
from pathlib import Path
from typing import Annotated

import typer

from telefonist import __version__
from telefonist.commands import database, handoff, ledger, models, operator, running, telegram, user, webhook
from telefonist.commands.terminal import terminal_language
from telefonist.errors import TelefonistError
from telefonist.settings import Settings, load_settings
from telefonist.types import AccountRole

app = typer.Typer(
    name="telefonist",
    help="A switchboard between people, programs, language models and operators.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
webhook_commands = typer.Typer(
    help="Callbacks: the signing secret, and what could not be delivered.", no_args_is_help=True
)
app.add_typer(webhook_commands, name="webhook")
user_commands = typer.Typer(help="Accounts: administrators, passwords, invites.", no_args_is_help=True)
app.add_typer(user_commands, name="user")
models_commands = typer.Typer(help="The models that can be asked for: list them, reset a price.")
app.add_typer(models_commands, name="models")
ledger_commands = typer.Typer(help="The books: whether they agree.", no_args_is_help=True)
app.add_typer(ledger_commands, name="ledger")
operator_commands = typer.Typer(help="The people who answer in the bot's place.", no_args_is_help=True)
app.add_typer(operator_commands, name="operator")

telegram_commands = typer.Typer(help="The Telegram bot: how updates come, and who is answered.", no_args_is_help=True)
app.add_typer(telegram_commands, name="telegram")

Email = Annotated[str, typer.Argument(metavar="EMAIL", help="The account's e-mail address.")]


Grace = Annotated[
    int | None,
    typer.Option(
        min=0,
        max=86_400,
        metavar="SECONDS",
        help="For work under way when told to stop; TELEFONIST_GRACE without it.",
    ),
]


@app.command()
def serve(
    *,
    worker: Annotated[bool, typer.Option(help="Also answer and deliver in this process.")] = True,
    grace: Grace = None,
) -> None:
    """Serve the web, and answer and deliver in the same process."""
    running.serve(_with_grace(load_settings(), grace), with_worker=worker)


@app.command()
def worker(*, grace: Grace = None) -> None:
    """Answer and deliver, without serving the web."""
    running.work(_with_grace(load_settings(), grace))


@app.command()
def demo() -> None:
    """Show the whole trip of a message against the running service: 202, the answer's callback, its signature."""
    from telefonist.commands import trip  # the servers at its ends are 2 MB that no other command needs

    asyncio.run(trip.show(load_settings()))


@app.command()
def migrate() -> None:
    """Bring the database's tables to the newest shape (``serve`` and ``worker`` do so by themselves)."""
    asyncio.run(database.migrate(load_settings()))


@models_commands.callback(invoke_without_command=True)
def list_models(context: typer.Context) -> None:
    """List the models that can be asked for, with provider, window and price."""
    if context.invoked_subcommand is None:
        asyncio.run(models.show(load_settings()))


@models_commands.command()
def reset(name: Annotated[str, typer.Argument(help="The model.")]) -> None:
    """Let the price of the settings apply again, where an administrator set another."""
    asyncio.run(models.reset(load_settings(), name))


@ledger_commands.command()
def verify() -> None:
    """Compute every balance and hold again and say what differs; the exit status is 1 where something does."""
    if not asyncio.run(ledger.verify(load_settings())):
        raise typer.Exit(1)


@app.command()
def handoff_eval(
    file: Annotated[
        Path, typer.Argument(metavar="FILE.jsonl", help="Labelled lines, as docs/handoff.md describes them.")
    ],
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")] = False,
) -> None:
    """Measure on labelled lines how well it is noticed that a person is wanted, or that the bot could not help."""
    handoff.evaluate(file, as_json=as_json)


@app.command()
def version() -> None:
    """Print the version."""
    typer.echo(__version__)


@webhook_commands.command()
def secret() -> None:
    """Print the signing secret, alone."""
    asyncio.run(webhook.print_secret(load_settings()))


@webhook_commands.command()
def rotate() -> None:
    """Make a new signing secret and print it; the old one goes on signing beside it for 24 hours."""
    asyncio.run(webhook.rotate(load_settings()))


@webhook_commands.command()
def redeliver(
    host: Annotated[str, typer.Argument(help="The receiver as name:port, for example example.com:443")],
) -> None:
    """Send everything again that is parked for a receiver."""
    asyncio.run(webhook.redeliver(load_settings(), host))


@user_commands.command()
def create_admin(email: Email) -> None:
    """Make an administrator: password from TELEFONIST_ADMIN_PASSWORD, or asked for. A known account keeps its own."""
    asyncio.run(user.create_admin(load_settings(), email))


@user_commands.command()
def reset_password(email: Email) -> None:
    """Set another password, from TELEFONIST_ADMIN_PASSWORD or asked for; every login of the account ends."""
    asyncio.run(user.reset_password(load_settings(), email))


@user_commands.command(context_settings={"ignore_unknown_options": True})
def credit(
    email: Email,
    amount: Annotated[str, typer.Argument(help="Credits, with up to six decimals; below zero they are taken away.")],
    *,
    reason: Annotated[str, typer.Option(help="The user sees it in the ledger.")],
) -> None:
    """Add credits to an account, or take some away."""
    asyncio.run(ledger.credit(load_settings(), email, amount, reason))


@user_commands.command()
def disable(email: Email) -> None:
    """Shut an account out, with its keys, within five seconds."""
    asyncio.run(user.disable(load_settings(), email))


@user_commands.command()
def enable(email: Email) -> None:
    """Let an account in again, with its keys."""
    asyncio.run(user.enable(load_settings(), email))


@user_commands.command()
def invite(
    *,
    role: Annotated[AccountRole, typer.Option(help="What the new account may do.")] = AccountRole.CLIENT,
    email: Annotated[str | None, typer.Option(help="The only address that may use it.")] = None,
) -> None:
    """Print an invite for one registration within a week."""
    asyncio.run(user.invite(load_settings(), role, email))


@operator_commands.command(name="invite")
def invite_operator(
    *,
    may_invite: Annotated[bool, typer.Option("--may-invite", help="The new operator may invite others.")] = False,
) -> None:
    """Print an invite that makes a Telegram user an operator, once within 24 hours."""
    asyncio.run(operator.invite(load_settings(), may_invite=may_invite))


@operator_commands.command(name="list")
def list_operators() -> None:
    """List the operators: who is there, and how many conversations they can have."""
    asyncio.run(operator.show(load_settings()))


@telegram_commands.command()
def set_webhook() -> None:
    """Let Telegram send updates to TELEFONIST_PUBLIC_URL, and show it the commands."""
    asyncio.run(telegram.set_webhook(load_settings()))


@telegram_commands.command()
def delete_webhook() -> None:
    """Let the service ask Telegram for updates, as it does without TELEGRAM_WEBHOOK_SECRET."""
    asyncio.run(telegram.delete_webhook(load_settings()))


@telegram_commands.command()
def info() -> None:
    """Say which bot it is, how updates come, and what went wrong last."""
    asyncio.run(telegram.info(load_settings()))


TelegramUser = Annotated[int, typer.Argument(metavar="ID", help="The user's number in Telegram.")]


@telegram_commands.command()
def ban(user_id: TelegramUser) -> None:
    """Answer a user no more."""
    asyncio.run(telegram.ban(load_settings(), user_id, banned=True))


@telegram_commands.command()
def unban(user_id: TelegramUser) -> None:
    """Answer a user again."""
    asyncio.run(telegram.ban(load_settings(), user_id, banned=False))


def _with_grace(settings: Settings, grace: int | None) -> Settings:
    return settings if grace is None else settings.model_copy(update={"grace": float(grace)})


def main() -> None:
    """Run the command line; what stops it is said in words, without a traceback."""
    try:
        app()
    except TelefonistError as error:
        sys.stderr.write(f"telefonist: {error.text(terminal_language())}\n")
        sys.exit(1)
