"""How the trip looks: colours and a progress display in a terminal, plain lines in a pipe."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from textwrap import indent
from typing import Any

from rich.console import Console
from rich.highlighter import JSONHighlighter
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.text import Text

from telefonist.texts import render
from telefonist.types import Json, Language

MARGIN = "    "


class Screen:
    """Prints one step after the other; what it is given is shown as it is, never read as markup."""

    def __init__(self, language: Language) -> None:
        self.language = language
        self._console = Console(emoji=False, markup=False, highlight=False)

    def heading(self, code: str, **values: Any) -> None:
        self._console.print()
        self._print(render(code, self.language, values), "bold")

    def line(self, code: str, **values: Any) -> None:
        self._print(render(code, self.language, values))

    def done(self, code: str, **values: Any) -> None:
        """Show a step that went well."""
        self._print(Text.assemble(("  ✓ ", "bold green"), render(code, self.language, values)))

    def outward(self, where: str, body: Json) -> None:
        """Show a request that we send."""
        self._print(Text.assemble(("  → ", "bold cyan"), where))
        self._json(body)

    def inward(self, headers: Mapping[str, str], body: Json) -> None:
        """Show the headers and the JSON of what came to us."""
        for name, value in headers.items():
            self._print(Text.assemble(MARGIN, (f"{name}: ", "cyan"), value))
        self._json(body)

    def attempts(self, task: Json) -> None:
        """Show where a task and its callback stand, and every attempt to deliver it."""
        self.line("trip_states", task=task["state"], delivery=task["delivery"]["state"])
        for number, attempt in enumerate(task["attempts"], 1):
            self.line(
                "trip_attempt",
                number=number,
                at=f"{datetime.fromisoformat(attempt['started_at']).astimezone():%H:%M:%S}",
                milliseconds=attempt["milliseconds"],
                outcome=attempt["error"] or f"HTTP {attempt['status']}",
                reply=attempt["response"],
            )

    @contextmanager
    def waiting(self) -> Iterator[Callable[[str], None]]:
        """Show what is being waited for: gives a function that takes the code of the present stage's text."""
        shown = ""
        progress = Progress(
            TextColumn(" "),
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            TimeElapsedColumn(),
            console=self._console,
            transient=True,
            disable=not self._console.is_terminal,
        )
        bar = progress.add_task("", total=None)

        def tell(code: str) -> None:
            nonlocal shown
            text = render(code, self.language)
            if text != shown and not self._console.is_terminal:
                self._print(f"  … {text}")
            shown = text
            progress.update(bar, description=text)

        with progress:
            yield tell

    def _json(self, body: Json) -> None:
        text = Text(indent(json.dumps(body, ensure_ascii=False, indent=2), MARGIN))
        JSONHighlighter().highlight(text)
        self._print(text)

    def _print(self, text: str | Text, style: str = "") -> None:
        self._console.print(text, style=style, soft_wrap=True)
