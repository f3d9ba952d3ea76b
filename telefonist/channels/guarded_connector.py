"""The only way out to a receiver: connections that no name and no redirect can lead to a refused address."""

import asyncio
import socket
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from ssl import SSLContext
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from telefonist.channels.address_guard import AddressGuard, AddressRefused

Lookup = Callable[..., Sequence[tuple[Any, ...]]]
"""What ``socket.getaddrinfo`` is: blocking, given and returning the same."""

LOOKUP_THREADS = 128
"""Lookups under way at once: enough that names whose servers are dead do not hold up the others."""

KEEP_ALIVE = 4.0
"""Seconds that an idle connection is kept: below the 5 s after which Node, uvicorn and Apache close theirs, so that a
callback is rarely sent into a connection that is just being closed."""

DNS_CACHE = 10
"""Seconds that the allowed addresses of a name are remembered. Each is checked again when it is connected to."""

sockets_opened: ContextVar[list[object]] = ContextVar("sockets_opened")
"""Whoever sets a list here finds in it the addresses that were connected to: none if a kept connection was used."""


class GuardedResolver(AbstractResolver):
    """Resolves names and keeps only the addresses a callback may go to.

    It has its own threads: those of the event loop are few (four with uvloop), and other work waits for them.
    """

    def __init__(self, guard: AddressGuard, lookup: Lookup = socket.getaddrinfo) -> None:
        self._guard = guard
        self._lookup = lookup
        self._threads = ThreadPoolExecutor(LOOKUP_THREADS, thread_name_prefix="callback-dns")

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Give the allowed addresses; raises AddressRefused when there are only others, OSError when there are none."""
        found = await asyncio.get_running_loop().run_in_executor(
            self._threads, self._lookup, host, port, family, socket.SOCK_STREAM, 0, socket.AI_ADDRCONFIG
        )
        allowed: list[ResolveResult] = []
        refused: AddressRefused | None = None
        for found_family, _, protocol, _, address in found:
            try:
                self._guard.check(_numeric(address))
            except AddressRefused as error:
                refused = error
            else:
                allowed.append(
                    ResolveResult(
                        hostname=host,
                        host=address[0],
                        port=port,
                        family=found_family,
                        proto=protocol,
                        flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
                    )
                )
        if not allowed:
            raise refused or OSError(f"{host} has no address")
        return allowed

    async def close(self) -> None:
        """Let go of the threads; a lookup under way ends by itself."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def guarded_connector(
    guard: AddressGuard, resolver: GuardedResolver, tls: SSLContext | None = None
) -> aiohttp.TCPConnector:
    """Make a pool of connections to addresses that ``guard`` allows.

    The address of every new socket is checked at the moment it is connected: this covers literal addresses and names
    that change their mind after they were resolved (DNS rebinding). Certificates are verified against the system's
    store, or as ``tls`` says. Needs a running event loop.
    """

    def guarded_socket(address_info: tuple[Any, ...]) -> socket.socket:
        family, kind, protocol, _, address = address_info
        guard.check(_numeric(address))
        opened = sockets_opened.get(None)
        if opened is not None:
            opened.append(address)
        return socket.socket(family, kind, protocol)

    return aiohttp.TCPConnector(
        resolver=resolver,
        socket_factory=guarded_socket,
        ssl=tls or True,
        limit=0,
        keepalive_timeout=KEEP_ALIVE,
        ttl_dns_cache=DNS_CACHE,
    )


def _numeric(address: tuple[Any, ...]) -> str:
    """Give a socket address as text, with its zone where it has one (which the guard refuses)."""
    host = str(address[0])
    return f"{host}%{address[3]}" if len(address) == 4 and address[3] and "%" not in host else host
