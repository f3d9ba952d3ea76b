"""A fake Telegram: the Bot API on a real socket, and the people and groups behind it.

    async with FakeTelegram() as telegram:
        anna = telegram.person("Анна", language="ru")
        await anna.writes("Привет")                    # an update: to the webhook where one is set, else to getUpdates
        (answer,) = await anna.reads(1)                # what the bot has sent, as Telegram would show it
        telegram.refuse("sendMessage", 429, "Too Many Requests: retry after 3", retry_after=3)

It is as strict as ``telegram_rules`` says; a method or a parameter that it does not know is refused. A webhook that
answers anything but 2xx gets the same update again, with the same ``update_id``.
"""

import asyncio
import json
import re
import time
from collections import defaultdict, deque
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import aiohttp

from tests.fakes.scripted_http import Behaviour, Exchange, Received, ScriptedServer, reply
from tests.fakes.telegram_methods import METHODS, Call
from tests.fakes.telegram_people import Group, Person
from tests.fakes.telegram_rules import Refused, read_parameters

BOT_ID = 7000000001
TOKEN = f"{BOT_ID}:AAFakeFakeFakeFakeFakeFakeFakeFake00"
SEND_AGAIN_AFTER = 0.05
DEFAULT_UPDATES = ("message", "edited_message", "callback_query", "my_chat_member")


@dataclass
class Chat:
    """A chat as the server keeps it."""

    id: int
    type: str
    title: str
    username: str | None = None
    is_forum: bool = False
    bot_manages_topics: bool = True
    blocked: bool = False
    migrated_to: int | None = None
    messages: dict[int, dict[str, Any]] = field(default_factory=dict)
    topics: dict[int, dict[str, Any]] = field(default_factory=dict)
    drafts: list[dict[str, Any]] = field(default_factory=list)
    actions: list[str] = field(default_factory=list)
    last_id: int = 0
    admins: set[int] = field(default_factory=set)

    @property
    def shown(self) -> dict[str, Any]:
        names = {"first_name": self.title} if self.type == "private" else {"title": self.title}
        optional = {"username": self.username} if self.username else {}
        return {"id": self.id, "type": self.type, **names, **optional, **({"is_forum": True} if self.is_forum else {})}

    def next_id(self) -> int:
        self.last_id += 1
        return self.last_id


@dataclass
class Webhook:
    url: str = ""
    secret: str = ""
    allowed: tuple[str, ...] = DEFAULT_UPDATES
    last_error: str = ""


class FakeTelegram(ScriptedServer):
    """One bot's view of Telegram."""

    def __init__(self, token: str = TOKEN, *, username: str = "fake_bot") -> None:
        super().__init__(reply())
        self.token = token
        self.me = {
            "id": int(token.partition(":")[0]), "is_bot": True, "first_name": "Telefonist", "username": username,
            "can_join_groups": True, "can_read_all_group_messages": False, "supports_inline_queries": False,
            "has_topics_enabled": False,
        }  # fmt: skip
        self.chats: dict[int, Chat] = {}
        self.webhook = Webhook()
        self.waiting: list[dict[str, Any]] = []
        """Updates that nobody has confirmed."""
        self.commands: dict[str, list[dict[str, str]]] = {}
        self.queries: dict[str, dict[str, Any] | None] = {}
        """Presses of buttons, and the answers that they got."""
        self.files: dict[str, bytes] = {}
        self.calls: list[Call] = []
        self.polling = 0
        self.webhook_tries: list[tuple[int, int]] = []
        """Every try to hand an update to the webhook: its id, and the status that came (0: none)."""
        self._refusals: dict[str, deque[Refused]] = defaultdict(deque)
        self._changed = asyncio.Condition()
        self._update_id = 500_000_000
        self._sender: asyncio.Task[None] | None = None
        self._next_person = 1000

    @property
    def base_url(self) -> str:
        return self.address

    def person(self, name: str = "Анна", *, language: str | None = "ru", id_: int | None = None) -> Person:
        """Let somebody open a private chat with the bot."""
        self._next_person += 1
        id_ = id_ or self._next_person
        self.chats[id_] = Chat(id_, "private", name)
        return Person(self, id_, name, language)

    def group(self, title: str, *, is_forum: bool = False) -> Group:
        """Make a group that the bot is in."""
        id_ = -1_001_000_000_000 - len(self.chats) - 1
        self.chats[id_] = Chat(id_, "supergroup", title, is_forum=is_forum)
        return Group(self, id_)

    def refuse(self, method: str, status: int, description: str, *, times: int = 1, **parameters: int) -> None:
        """Answer the next calls of a method so."""
        self._refusals[method].extend(Refused(status, description, **parameters) for _ in range(times))

    def called(self, method: str) -> list[Call]:
        """Give the calls of a method that succeeded, the oldest first."""
        return [call for call in self.calls if call.method == method]

    async def put(self, kind: str, content: Mapping[str, Any]) -> int:
        """Make an update, to be handed to the bot; gives its id."""
        self._update_id += 1
        update = {"update_id": self._update_id, kind: dict(content)}
        async with self._changed:
            if kind in self.webhook.allowed:
                self.waiting.append(update)
            self._changed.notify_all()
        return self._update_id

    async def put_again(self, update: Mapping[str, Any]) -> None:
        """Hand over an update that was there before, as Telegram does when an answer was lost."""
        async with self._changed:
            self.waiting.append(dict(update))
            self._changed.notify_all()

    async def wait_until(self, happened: Any, within: float = 10.0, what: str = "it") -> None:
        """Wait until something is true; AssertionError past the time."""
        try:
            async with asyncio.timeout(within), self._changed:
                while not happened():
                    await self._changed.wait()
        except TimeoutError:
            raise AssertionError(f"{what} did not happen within {within} s") from None

    async def __aenter__(self) -> Self:
        await super().__aenter__()
        self._sender = asyncio.create_task(self._send_updates())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._sender is not None
        self._sender.cancel()
        with suppress(asyncio.CancelledError):
            await self._sender
        await super().__aexit__(kind, error, trace)

    def choose(self, request: Received) -> Behaviour:
        if self._script:
            return self.next_behaviour()
        path = request.path.partition("?")[0]
        if path.startswith(f"/file/bot{self.token}/"):
            content = self.files.get(path.removeprefix(f"/file/bot{self.token}/"))
            if content is not None:
                return reply(content, content_type="application/octet-stream")
        found = re.fullmatch(r"/bot([^/]+)/(\w+)", path)
        if found is None:
            return _refusal(Refused(404, "Not Found"))
        if found[1] != self.token:
            return _refusal(Refused(401, "Unauthorized"))
        return self._answering(found[2])

    def _answering(self, name: str) -> Behaviour:
        async def behave(exchange: Exchange) -> None:
            try:
                result = await self._call(name, exchange.request)
            except Refused as refused:
                await _refusal(refused)(exchange)
                return
            body = json.dumps({"ok": True, "result": result}).encode()
            await exchange.reply(200, body)

        return behave

    async def _call(self, name: str, request: Received) -> Any:
        method = next((known for known in METHODS if known.lower() == name.lower()), None)
        if method is None:
            raise Refused(404, "Not Found: method not found")
        allowed, carry_out = METHODS[method]
        if self._refusals[method]:
            raise self._refusals[method].popleft()
        parameters = read_parameters(request.body, request.headers.get("content-type", ""))
        if unknown := parameters.keys() - allowed:
            raise Refused(400, f"Bad Request: unknown parameters {sorted(unknown)}")
        call = Call(method, parameters, time.monotonic())
        result = await carry_out(self, call)
        call.result = result
        self.calls.append(call)
        async with self._changed:
            self._changed.notify_all()
        return result

    async def next_updates(self, offset: int, limit: int, timeout: float, allowed: tuple[str, ...] | None) -> Any:
        """Give what waits from ``offset`` on, and forget what came before it."""
        if self.webhook.url:
            raise Refused(409, "Conflict: can't use getUpdates method while webhook is active; use deleteWebhook first")
        if self.polling:
            raise Refused(409, "Conflict: terminated by other getUpdates request; make sure that only one bot runs")
        if allowed is not None:
            self.webhook.allowed = allowed
        self.polling += 1
        try:
            async with self._changed:
                if offset > 0:
                    self.waiting = [update for update in self.waiting if update["update_id"] >= offset]
                with suppress(TimeoutError):
                    async with asyncio.timeout(timeout):
                        while not self.waiting:
                            await self._changed.wait()
                return self.waiting[:limit]
        finally:
            self.polling -= 1

    async def _send_updates(self) -> None:
        """Hand what waits to the webhook, one at a time, again and again until it is taken."""
        async with aiohttp.ClientSession(trust_env=False) as session:
            while True:
                async with self._changed:
                    while not (self.webhook.url and self.waiting):
                        await self._changed.wait()
                    update, webhook = self.waiting[0], self.webhook
                status = 0
                headers = {"X-Telegram-Bot-Api-Secret-Token": webhook.secret} if webhook.secret else {}
                try:
                    async with session.post(
                        webhook.url, json=update, headers=headers, allow_redirects=False,
                        timeout=aiohttp.ClientTimeout(total=10),
                    ) as response:  # fmt: skip
                        await response.read()
                        status = response.status
                except (aiohttp.ClientError, TimeoutError) as error:
                    webhook.last_error = type(error).__name__
                self.webhook_tries.append((update["update_id"], status))
                async with self._changed:
                    if 200 <= status < 300:
                        with suppress(ValueError):
                            self.waiting.remove(update)
                    else:
                        webhook.last_error = webhook.last_error or f"Wrong response from the webhook: {status}"
                    self._changed.notify_all()
                if not 200 <= status < 300:
                    await asyncio.sleep(SEND_AGAIN_AFTER)


def _refusal(refused: Refused) -> Behaviour:
    content: dict[str, Any] = {"ok": False, "error_code": refused.status, "description": refused.description}
    if refused.parameters:
        content["parameters"] = refused.parameters
    return reply(json.dumps(content).encode(), refused.status)
