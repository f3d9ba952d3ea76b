"""``telefonist models``: what can be asked for."""

import sys

from rich.console import Console
from rich.table import Table

from telefonist.settings import Settings
from telefonist.types import MICROCREDITS

PIPE_WIDTH = 200
"""Columns where there is no terminal whose width could be asked: nothing is cut for a script."""


def show(settings: Settings) -> None:
    """Print every model with its provider, window and price in credits for 1000 tokens."""
    table = Table("model", "also known as", "provider", "upstream name", "window", "credits/1k in", "credits/1k out")
    for model in settings.models:
        mark = " (default)" if model.name == settings.default_model else ""
        table.add_row(
            model.name + mark,
            ", ".join(model.aliases),
            model.provider,
            model.upstream,
            str(model.context_window),
            _credits(model.input_price),
            _credits(model.output_price),
        )
    Console(width=None if sys.stdout.isatty() else PIPE_WIDTH).print(table)


def _credits(microcredits: int) -> str:
    whole, rest = divmod(microcredits, MICROCREDITS)
    return f"{whole}.{rest:06d}".rstrip("0").rstrip(".")
