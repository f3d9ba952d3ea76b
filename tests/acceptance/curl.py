"""The few options of curl that the documentation uses, read as a shell and curl read them.

So the examples can be tried where there is no curl, and against any address.
"""

import shlex
from dataclasses import dataclass, field
from typing import Self

import httpx


@dataclass(slots=True)
class Curl:
    """One call; ``shows_headers`` is ``-i``."""

    url: str = ""
    method: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    data: str | None = None
    shows_headers: bool = False

    @classmethod
    def read(cls, command: str) -> Self:
        """Read a command; ValueError for anything that is not known here."""
        words = iter(shlex.split(command.replace("\\\n", " ")))
        if next(words) != "curl":
            raise ValueError(f"not curl: {command}")
        call = cls()
        for word in words:
            match word:
                case "-i":
                    call.shows_headers = True
                case "-X":
                    call.method = next(words)
                case "-H":
                    name, _, value = next(words).partition(":")
                    call.headers[name] = value.strip()
                case "-N":  # shows what arrives as it arrives
                    pass
                case "-d":
                    call.data = next(words) if call.data is None else f"{call.data}&{next(words)}"
                case _ if word.startswith("http://") and not call.url:
                    call.url = word
                case _:
                    raise ValueError(f"unknown here: {word} in {command}")
        if call.data is not None and "content-type" not in {name.lower() for name in call.headers}:
            call.headers["Content-Type"] = "application/x-www-form-urlencoded"
        call.method = call.method or ("GET" if call.data is None else "POST")
        return call

    async def run(self, client: httpx.AsyncClient) -> httpx.Response:
        return await client.request(
            self.method, self.url, headers=self.headers, content=None if self.data is None else self.data.encode()
        )
