"""Which callers without an account are let in, and where a caller knocks from.

``auto`` is for trying things out on one's own machine. It must not open the door to a proxy on the same machine, to a
web page in the browser there (which can send requests to loopback, and by DNS rebinding even read the answers), or to
anybody else who reaches the port. Every sign of one of these is a refusal.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Literal

from starlette.requests import HTTPConnection
from starlette.types import Scope

from telefonist.errors import AuthenticationRequired
from telefonist.texts import preferred_language
from telefonist.types import Caller, Language

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_HOST = re.compile(r"(?:\[(?P<literal>[0-9a-fA-F:.]+)\]|(?P<name>[^:\[\]@/]+))(?::\d{1,5})?")
_FORWARDED_FOR = re.compile(r"""(?:^|[;,])\s*for\s*=\s*(?:"([^"]*)"|([^\s;,"]*))""", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class AccessPolicy:
    """Decides whether a caller without an account is taken.

    ``trusted_proxies`` are the networks whose word on the client's address is believed.
    """

    anonymous_callers: Literal["auto", "on", "off"]
    listens_on_loopback: bool
    public_url: str = ""
    trusted_proxies: Sequence[Network] = ()

    @property
    def is_local(self) -> bool:
        """The service is for this machine alone: it listens on loopback and has no public address."""
        return self.listens_on_loopback and not self.public_url

    def anonymous(self, request: HTTPConnection) -> Caller:
        """Take the caller of ``request``, who shows no credential; raises AuthenticationRequired with the reason."""
        if self.anonymous_callers == "off":
            raise AuthenticationRequired(why="why_anonymous_off")
        if self.anonymous_callers == "auto":
            self.require_local(request)
        return Caller(account_id=None, address=self.address(request), language=language_of(request))

    def admit_newcomer(self, request: HTTPConnection) -> None:
        """Let a request pass that may make an account: on a service for this machine alone none from elsewhere.

        Else a web page or a proxy that ``auto`` keeps out could register and come back with credentials. Raises
        AuthenticationRequired with the reason.
        """
        if self.is_local and self.anonymous_callers != "on":
            self.require_local(request)

    def address(self, request: HTTPConnection) -> str:
        """Give the address to count limits by: of IPv6 the /64 network, since one client has all of it."""
        return client_network(client_address(request.scope, self.trusted_proxies))

    def require_local(self, request: HTTPConnection) -> None:
        """Let a request pass that a program on this machine sent, knowing where it sent it.

        Raises AuthenticationRequired for all others, with the first reason found.
        """
        reason = self._why_not_local() or _why_not_from_here(request)
        if reason:
            raise AuthenticationRequired(why=reason)

    def _why_not_local(self) -> str | None:
        if not self.listens_on_loopback:
            return "why_listens_beyond_loopback"
        return "why_public_url" if self.public_url else None


def language_of(request: HTTPConnection) -> Language:
    """Give the language that the caller reads."""
    return preferred_language(request.headers.get("accept-language"))


def client_address(scope: Scope, trusted_proxies: Sequence[Network] = ()) -> str:
    """Give the client's address: the peer's, or what a trusted proxy says about where the request came from.

    Of ``X-Forwarded-For`` or ``Forwarded`` (RFC 7239) the right-most address that is not a trusted proxy counts, as
    everything to its left can be invented by the client. Where both headers are present and disagree, one of them was
    passed through unread, and neither is believed. Without a peer (a Unix socket) the address is empty.
    """
    peer = scope["client"][0] if scope.get("client") else ""
    if not trusted_proxies or not _is_in(_read_address(peer), trusted_proxies):
        return peer
    headers = HTTPConnection(scope).headers
    forwarded_for = [entry.strip() for line in headers.getlist("x-forwarded-for") for entry in line.split(",")]
    forwarded = [a or b for line in headers.getlist("forwarded") for a, b in _FORWARDED_FOR.findall(line)]
    told = {_first_untrusted(entries, peer, trusted_proxies) for entries in (forwarded_for, forwarded) if entries}
    return told.pop() if len(told) == 1 else peer


@lru_cache(maxsize=4096)
def client_network(address: str) -> str:
    """Give what one client is counted as: an IPv4 address, or the /64 network of an IPv6 address."""
    known = _read_address(address)
    if isinstance(known, IPv6Address):
        return str(ip_network((known, 64), strict=False))
    return str(known or address)


def _first_untrusted(entries: Sequence[str], peer: str, trusted_proxies: Sequence[Network]) -> str:
    nearest = peer
    for address in _readable_from_the_right(entries):
        nearest = str(address)
        if not _is_in(address, trusted_proxies):
            break
    return nearest


def _readable_from_the_right(entries: Sequence[str]) -> Iterator[Address]:
    for entry in reversed(entries):
        address = _read_address(entry)
        if address is None:  # "unknown", a hidden name, nonsense: whoever wrote it knows no more
            return
        yield address


@lru_cache(maxsize=4096)
def _read_address(text: str) -> Address | None:
    """Read an address with or without a port, brackets or zone; an IPv4-mapped one is the IPv4 address."""
    bracketed = re.fullmatch(r"\[([^\]]*)\](?::\d+)?", text)
    if bracketed:
        text = bracketed[1]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return address.ipv4_mapped or address if isinstance(address, IPv6Address) else address


def _is_in(address: Address | None, networks: Sequence[Network]) -> bool:
    return address is not None and any(address in network for network in networks)


def _why_not_from_here(request: HTTPConnection) -> str | None:
    headers = request.headers
    peer = _read_address(request.client.host) if request.client else None
    if peer is None or not peer.is_loopback:
        return "why_foreign_peer"
    hosts = headers.getlist("host")
    if len(hosts) != 1 or not _names_loopback(hosts[0]):
        return "why_foreign_host"
    if any(name in ("forwarded", "via", "x-real-ip") or name.startswith("x-forwarded-") for name in headers):
        return "why_forwarded"
    if headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
        return "why_cross_site"
    if any(not _is_same_origin(origin, request.scope["scheme"], hosts[0]) for origin in headers.getlist("origin")):
        return "why_cross_site"
    if _has_body(request) and not _is_json(headers.get("content-type", "")):
        return "why_not_json"
    return None


def _names_loopback(host: str) -> bool:
    match = _HOST.fullmatch(host)
    if match is None:
        return False
    name = (match["name"] or "").lower().removesuffix(".")
    address = _read_address(match["literal"] or name)
    return name == "localhost" or name.endswith(".localhost") or (address is not None and address.is_loopback)


def _is_same_origin(origin: str, scheme: str, host: str) -> bool:
    return origin.lower() == f"{scheme}://{host}".lower()


def _has_body(request: HTTPConnection) -> bool:
    return request.headers.get("content-length", "0") != "0" or "transfer-encoding" in request.headers


def _is_json(content_type: str) -> bool:
    kind = content_type.partition(";")[0].strip().lower()
    return kind == "application/json" or (kind.startswith("application/") and kind.endswith("+json"))
