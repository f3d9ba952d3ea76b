"""What a callback URL may look like, and what exactly it means.

One strict reading serves the check at the door and the connection later, so that no two parsers can disagree on the
host (RFC 3986; hosts as in the WHATWG URL Standard, section 3.5).
"""

import re
import string
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from typing import Any
from urllib.parse import quote

import idna

from telefonist.channels.address_guard import AddressGuard, AddressRefused, IPAddress
from telefonist.errors import FieldProblem, InvalidInput

MAX_LENGTH = 2048
LOOPBACK = IPv4Address("127.0.0.1")

_DEFAULT_PORTS = {"http": 80, "https": 443}
_URL = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<authority>[^/?#]*)(?P<target>[^#]*)(?:#.*)?")
_AUTHORITY = re.compile(r"(?:\[(?P<ipv6>[^\[\]]*)]|(?P<name>[^:\[\]]*))(?::(?P<port>[0-9]{0,5}))?")
_NAME = re.compile(r"(?:[a-z0-9_-]{1,63}\.)*[a-z0-9_-]{1,63}\.?")
_NUMBER = re.compile(r"0x[0-9a-f]*|[0-9]+")


@dataclass(frozen=True, slots=True)
class CallbackUrl:
    """A callback URL in its one normal form: ASCII, without fragment, an address in its canonical notation."""

    url: str
    host: str
    port: int
    address: IPAddress | None
    """The host, when it is an address and not a name."""

    @property
    def endpoint(self) -> str:
        """The ``host:port`` that is isolated from others: one receiver, however its URL is written."""
        host = f"[{self.host}]" if ":" in self.host else self.host.removesuffix(".")
        return f"{host}:{self.port}"


def check_callback_url(url: str, guard: AddressGuard) -> CallbackUrl:
    """Accept a client's callback URL, or say at once what is wrong with it.

    Addresses in any notation and the names of loopback (RFC 6761, section 6.3) are judged here; other names only when
    a connection is made, since what they resolve to may change. Raises InvalidInput for the field ``callback_url``.
    """
    parsed = parse_callback_url(url)
    address = LOOPBACK if _names_loopback(parsed.host) else parsed.address
    if address is not None:
        try:
            guard.check(address)
        except AddressRefused as refused:
            raise _invalid(
                url,
                "callback_url_address",
                f"Callbacks go to public addresses only: {parsed.host} is {refused.reason}",
                {"host": parsed.host, "reason": refused.reason},
            ) from None
    return parsed


def host_of(url: str) -> str:
    """Give the ``host:port`` by which deliveries to ``url`` are kept apart from those to other receivers.

    Raises InvalidInput for what is no callback URL.
    """
    return parse_callback_url(url).endpoint


@lru_cache(maxsize=4096)
def parse_callback_url(url: str) -> CallbackUrl:
    """Read a callback URL without judging where it leads; raises InvalidInput for the field ``callback_url``."""
    if len(url) > MAX_LENGTH:
        raise _invalid(
            url[:MAX_LENGTH],
            "url_too_long",
            f"URL should have at most {MAX_LENGTH} characters",
            {"max_length": MAX_LENGTH},
        )
    if not url.isprintable() or " " in url or "\\" in url:
        raise _unreadable(url, "control characters, spaces and backslashes must be percent-encoded")
    parts = _URL.fullmatch(url)
    if parts is None:
        raise _unreadable(url, "relative URL without a base")
    scheme = parts["scheme"].lower()
    if scheme not in _DEFAULT_PORTS:
        expected = "'http' or 'https'"
        raise _invalid(url, "url_scheme", f"URL scheme should be {expected}", {"expected_schemes": expected})
    if "@" in parts["authority"]:
        raise _invalid(url, "callback_url_user_info", "URL should hold no user name and no password")
    authority = _AUTHORITY.fullmatch(parts["authority"])
    if authority is None:
        raise _unreadable(url, "invalid host or port")
    default_port = _DEFAULT_PORTS[scheme]
    port = int(authority["port"] or default_port)
    if not 0 < port < 65536:
        raise _unreadable(url, "invalid port number")

    host, address = _host(url, authority["ipv6"], authority["name"])
    written_host = f"[{host}]" if ":" in host else host
    written_port = "" if port == default_port else f":{port}"
    return CallbackUrl(
        url=f"{scheme}://{written_host}{written_port}{_ascii_target(parts['target'])}",
        host=host,
        port=port,
        address=address,
    )


def _host(url: str, ipv6: str | None, name: str | None) -> tuple[str, IPAddress | None]:
    address: IPAddress | None
    if ipv6 is not None:
        address = _ipv6(url, ipv6)
        return str(address), address
    host = _ascii_name(url, name or "")
    address = _ipv4(url, host)
    return (host, None) if address is None else (str(address), address)


def _ipv6(url: str, text: str) -> IPv6Address:
    if "%" in text:
        raise _unreadable(url, "an IPv6 address with a zone leads to no public receiver")
    try:
        return IPv6Address(text)
    except AddressValueError:
        raise _unreadable(url, "invalid IPv6 address") from None


def _ascii_name(url: str, name: str) -> str:
    if not name:
        raise _unreadable(url, "empty host")
    try:
        ascii_name = name.lower() if name.isascii() else idna.encode(name, uts46=True).decode()
    except UnicodeError:
        raise _unreadable(url, "invalid international domain name") from None
    if not _NAME.fullmatch(ascii_name) or len(ascii_name.removesuffix(".")) > 253:
        raise _unreadable(url, "invalid domain name")
    return ascii_name


def _ipv4(url: str, host: str) -> IPv4Address | None:
    """Read what C's ``inet_aton`` would take for an address: 127.1, 0177.0.0.1, 0x7f000001, 2130706433."""
    parts = host.removesuffix(".").split(".")
    if not _NUMBER.fullmatch(parts[-1]):
        return None
    try:
        numbers = [_number(part) for part in parts]
        if len(numbers) > 4 or any(number > 255 for number in numbers[:-1]):
            raise AddressValueError
        value = numbers[-1]
        if value >= 256 ** (5 - len(numbers)):
            raise AddressValueError
        for position, number in enumerate(numbers[:-1]):
            value += number << 8 * (3 - position)
        return IPv4Address(value)
    except ValueError:
        raise _unreadable(url, "invalid IPv4 address") from None


def _number(part: str) -> int:
    if not _NUMBER.fullmatch(part):
        raise ValueError
    if part.startswith("0x"):
        return int(part[2:] or "0", 16)
    return int(part, 8 if part.startswith("0") else 10)


def _ascii_target(target: str) -> str:
    if not target.startswith("/"):
        target = "/" + target
    return target if target.isascii() else quote(target, safe=string.punctuation)


def _names_loopback(host: str) -> bool:
    name = host.removesuffix(".")
    return name == "localhost" or name.endswith(".localhost")


def _unreadable(url: str, error: str) -> InvalidInput:
    return _invalid(url, "url_parsing", f"Input should be a valid URL, {error}", {"error": error})


def _invalid(url: str, type_: str, message: str, context: dict[str, Any] | None = None) -> InvalidInput:
    return InvalidInput([FieldProblem(type=type_, loc=("body", "callback_url"), msg=message, input=url, ctx=context)])
