import asyncio
import socket
import threading
from collections.abc import Sequence
from ipaddress import ip_network
from typing import Any

import pytest

from telefonist.channels import callback
from telefonist.channels.address_guard import AddressGuard
from telefonist.channels.guarded_connector import GuardedResolver
from tests.channels.conftest import OpenChannel
from tests.channels.sending import send
from tests.fakes.receiver import Receiver, redirect

CLOSED = AddressGuard()
LOOPBACK_OPEN = AddressGuard(allow_loopback=True)
ONLY_THE_RECEIVER = AddressGuard([ip_network("127.0.0.1/32")])


class Names:
    """A stand-in for the system's resolver: each look-up of a name takes its next answer, the last one for ever."""

    def __init__(self, **answers: Sequence[Sequence[str]]) -> None:
        self.answers = {name.replace("_", "."): list(answer) for name, answer in answers.items()}
        self.lookups: list[str] = []

    def __call__(self, host: str, port: int, *_: object) -> list[tuple[Any, ...]]:
        self.lookups.append(host)
        answers = self.answers.get(host)
        if not answers:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        addresses = answers.pop(0) if len(answers) > 1 else answers[0]
        return [
            (socket.AF_INET6, socket.SOCK_STREAM, 6, "", (address, port, 0, 0))
            if ":" in address
            else (socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))
            for address in addresses
        ]


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "127.1", "0x7f000001", "017700000001", "2130706433", "[::ffff:127.0.0.1]", "localhost"],
)
async def test_a_refused_address_gets_not_even_a_connection(
    open_channel: OpenChannel, receiver: Receiver, host: str
) -> None:
    attempt = await send(open_channel(CLOSED), receiver.url_for("/callback", host))
    assert attempt.status is None
    assert attempt.error is not None
    assert attempt.error.startswith("address refused: ")
    assert attempt.error.endswith(" is loopback")
    assert receiver.connections == 0


async def test_a_name_that_leads_to_a_private_address_is_refused(open_channel: OpenChannel) -> None:
    names = Names(inside_example=[["10.0.0.1"]])
    attempt = await send(open_channel(CLOSED, lookup=names), "http://inside.example/")
    assert attempt.error == "address refused: 10.0.0.1 is private"


async def test_a_name_that_leads_to_the_metadata_service_is_refused_even_where_its_network_is_open(
    open_channel: OpenChannel,
) -> None:
    names = Names(meta_example=[["169.254.169.254", "fd00:ec2::254"]])
    guard = AddressGuard([ip_network("169.254.0.0/16"), ip_network("fc00::/7")])
    attempt = await send(open_channel(guard, lookup=names), "http://meta.example/latest/meta-data/")
    assert attempt.error == "address refused: fd00:ec2::254 is a metadata service"


async def test_of_a_name_with_a_public_and_a_private_address_only_the_public_one_is_used(
    open_channel: OpenChannel, receiver: Receiver
) -> None:
    names = Names(both_example=[["10.0.0.1", "127.0.0.1", "fe80::1", "192.168.0.1"]])
    attempt = await send(open_channel(ONLY_THE_RECEIVER, lookup=names), receiver.url_for("/", "both.example"))
    assert attempt.succeeded
    assert receiver.requests[0].headers["host"] == f"both.example:{receiver.port}"


async def test_a_name_that_turns_private_later_is_refused_then(open_channel: OpenChannel, receiver: Receiver) -> None:
    names = Names(rebinding_example=[["127.0.0.1"], ["10.0.0.1"]])
    url = receiver.url_for("/", "rebinding.example")
    assert (await send(open_channel(ONLY_THE_RECEIVER, lookup=names), url)).succeeded
    attempt = await send(open_channel(ONLY_THE_RECEIVER, lookup=names), url)
    assert attempt.error == "address refused: 10.0.0.1 is private"


@pytest.mark.parametrize("addresses", [["127.0.0.1"], ["127.0.0.1", "::1"]])
async def test_the_address_is_checked_again_when_it_is_connected_to(
    open_channel: OpenChannel, receiver: Receiver, addresses: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A resolver that lets everything pass stands for a name that was public when it was resolved."""
    monkeypatch.setattr(callback, "GuardedResolver", lambda _, lookup: GuardedResolver(LOOPBACK_OPEN, lookup))
    channel = open_channel(CLOSED, lookup=Names(rebinding_example=[addresses]))
    attempt = await send(channel, receiver.url_for("/", "rebinding.example"))
    assert attempt.status is None
    assert "127.0.0.1 is loopback" in str(attempt.error)
    assert receiver.connections == 0


async def test_a_redirect_to_the_metadata_service_is_not_followed(
    open_channel: OpenChannel, receiver: Receiver
) -> None:
    receiver.script(redirect("http://169.254.169.254/latest/meta-data/"))
    attempt = await send(open_channel(), receiver.url)
    assert attempt.error == "redirect to http://169.254.169.254/latest/meta-data/ is not followed"
    assert not attempt.succeeded


async def test_proxies_of_the_environment_are_ignored(
    open_channel: OpenChannel, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Receiver() as proxy:
        for variable in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(variable, f"http://127.0.0.1:{proxy.port}")
        monkeypatch.delenv("NO_PROXY", raising=False)
        monkeypatch.delenv("no_proxy", raising=False)
        assert (await send(open_channel(), receiver.url)).succeeded
        assert proxy.connections == 0
        assert len(receiver.requests) == 1


async def test_a_name_nobody_knows_is_a_failed_attempt(open_channel: OpenChannel) -> None:
    attempt = await send(open_channel(lookup=Names()), "https://nobody.example/path?token=1")
    assert (attempt.status, attempt.error) == (None, "name not resolved: nobody.example")


async def test_names_are_looked_up_once_while_their_answer_is_fresh(
    open_channel: OpenChannel, receiver: Receiver
) -> None:
    names = Names(fresh_example=[["127.0.0.1"]])
    channel = open_channel(lookup=names)
    url = receiver.url_for("/", "fresh.example")
    attempts = await asyncio.gather(*(send(channel, url) for _ in range(20)))
    assert all(attempt.succeeded for attempt in attempts)
    assert names.lookups == ["fresh.example"]


async def test_names_whose_servers_are_dead_do_not_hold_up_the_others(
    open_channel: OpenChannel, receiver: Receiver
) -> None:
    all_wait = threading.Barrier(61)
    released = threading.Event()

    def lookup(host: str, port: int, *rest: Any) -> list[tuple[Any, ...]]:
        if host != "good.example":
            all_wait.wait(5)
            released.wait(20)
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    channel = open_channel(lookup=lookup, connect_timeout=5)
    dead = [asyncio.create_task(send(channel, f"http://dead{number}.example/")) for number in range(60)]
    try:
        await asyncio.to_thread(all_wait.wait, 5)
        attempt = await send(channel, receiver.url_for("/", "good.example"))
        assert attempt.succeeded
        assert not any(task.done() for task in dead)
    finally:
        released.set()
    assert {(await task).error for task in dead} == {f"name not resolved: dead{number}.example" for number in range(60)}
