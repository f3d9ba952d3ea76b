"""Which addresses a callback may be sent to: the defence against server-side request forgery.

The tables are written out because ``ipaddress.is_global`` changes its mind between Python versions. Sources: the IANA
registries "IPv4 Special-Purpose Address Space", "IPv6 Special-Purpose Address Space", "IPv4 Multicast Address Space"
and "IPv6 Global Unicast Address Assignments" (RFC 6890, RFC 8190).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

IPAddress = IPv4Address | IPv6Address
IPNetwork = IPv4Network | IPv6Network

IPV4_SPECIAL: Sequence[tuple[IPv4Network, str]] = tuple(
    (IPv4Network(network), reason)
    for network, reason in (
        ("0.0.0.0/8", "this network"),  # RFC 791
        ("10.0.0.0/8", "private"),  # RFC 1918
        ("100.64.0.0/10", "shared (CGNAT)"),  # RFC 6598
        ("127.0.0.0/8", "loopback"),  # RFC 1122
        ("169.254.0.0/16", "link-local"),  # RFC 3927
        ("172.16.0.0/12", "private"),  # RFC 1918
        ("192.0.0.0/24", "reserved for protocols"),  # RFC 6890
        ("192.0.2.0/24", "documentation"),  # RFC 5737
        ("192.88.99.0/24", "a 6to4 relay"),  # RFC 7526
        ("192.168.0.0/16", "private"),  # RFC 1918
        ("198.18.0.0/15", "benchmarking"),  # RFC 2544
        ("198.51.100.0/24", "documentation"),  # RFC 5737
        ("203.0.113.0/24", "documentation"),  # RFC 5737
        ("224.0.0.0/4", "multicast"),  # RFC 5771
        ("255.255.255.255/32", "broadcast"),  # RFC 919
        ("240.0.0.0/4", "reserved"),  # RFC 1112
    )
)

IPV6_SPECIAL: Sequence[tuple[IPv6Network, str]] = tuple(
    (IPv6Network(network), reason)
    for network, reason in (
        ("::/128", "unspecified"),  # RFC 4291
        ("::1/128", "loopback"),  # RFC 4291
        ("::/96", "IPv4-compatible"),  # RFC 4291, deprecated
        ("64:ff9b:1::/48", "local-use NAT64"),  # RFC 8215
        ("100::/64", "discard-only"),  # RFC 6666
        ("2001:2::/48", "benchmarking"),  # RFC 5180
        ("2001:db8::/32", "documentation"),  # RFC 3849
        ("3fff::/20", "documentation"),  # RFC 9637
        ("fc00::/7", "private"),  # RFC 4193, unique local
        ("fe80::/10", "link-local"),  # RFC 4291
        ("fec0::/10", "site-local"),  # RFC 3879
        ("ff00::/8", "multicast"),  # RFC 4291
    )
)

NAT64 = IPv6Network("64:ff9b::/96")  # RFC 6052
SIX_TO_FOUR = IPv6Network("2002::/16")  # RFC 3056
TEREDO = IPv6Network("2001::/32")  # RFC 4380
PROTOCOL_ASSIGNMENTS = IPv6Network("2001::/23")  # RFC 2928
GLOBAL_UNICAST = IPv6Network("2000::/3")  # RFC 4291: all that has been given out
ISATAP_IDENTIFIERS = (0x0000_5EFE, 0x0200_5EFE)  # RFC 5214

METADATA: frozenset[IPAddress] = frozenset(
    ip_address(address)
    for address in (
        "169.254.169.254",  # AWS, Google, Azure, DigitalOcean, Yandex, Oracle
        "169.254.170.2",  # AWS containers: credentials
        "169.254.170.23",  # AWS EKS: pod identity
        "168.63.129.16",  # Azure: WireServer, in public space
        "100.100.100.200",  # Alibaba
        "192.0.0.192",  # Oracle, classic
        "fd00:ec2::254",  # AWS
        "fd00:ec2::23",  # AWS EKS: pod identity
        "fd20:ce::254",  # Google
    )
)


class AddressRefused(OSError):
    """No callback goes to this address; the text says which and why.

    An OSError, because it is raised where sockets are made, and there a refused address must count like an unreachable
    one: the next address of the name is tried. It never leaves the channels.
    """

    def __init__(self, address: object, reason: str) -> None:
        super().__init__(f"{address} is {reason}")
        self.reason = reason


@dataclass(frozen=True, slots=True)
class AddressGuard:
    """Tells addresses of the public internet from everything else.

    Addresses that carry an IPv4 address (mapped, NAT64, 6to4, Teredo, ISATAP) are judged by that one too, since the
    packets end up there. ``allowed_networks`` opens what would be refused, save cloud metadata services, which only a
    network of that one address opens.
    """

    allowed_networks: Sequence[IPNetwork] = ()
    allow_loopback: bool = False

    def check(self, address: IPAddress | str) -> None:
        """Raise AddressRefused unless a callback may go to ``address``, a value or its canonical text."""
        if isinstance(address, str):
            try:
                address = ip_address(address)
            except ValueError:
                raise AddressRefused(address, "not an address") from None
        if isinstance(address, IPv6Address):
            if address.scope_id:
                raise AddressRefused(address, "bound to a network interface")
            if address.ipv4_mapped:  # the kernel connects over IPv4: it is that address (RFC 4291, section 2.5.5.2)
                address = address.ipv4_mapped
        if self._allows(address):
            return
        reason = _refusal(address)
        if reason is not None:
            raise AddressRefused(address, reason)

    def _allows(self, address: IPAddress) -> bool:
        if address.is_loopback and self.allow_loopback:
            return True
        return any(
            address in network and (address not in METADATA or network.num_addresses == 1)
            for network in self.allowed_networks
        )


def _refusal(address: IPAddress) -> str | None:
    if address in METADATA:
        return "a metadata service"
    if isinstance(address, IPv4Address):
        return next((reason for network, reason in IPV4_SPECIAL if address in network), None)
    for network, reason in IPV6_SPECIAL:
        if address in network:
            return reason
    if address in PROTOCOL_ASSIGNMENTS and address not in TEREDO:
        return "reserved for protocols"
    if address not in GLOBAL_UNICAST and address not in NAT64:
        return "not global unicast"
    for carrier, carried in _carried_ipv4(address):
        refusal = _refusal(carried)
        if refusal is not None:
            return f"{carrier} for {carried}, {refusal}"
    return None


def _carried_ipv4(address: IPv6Address) -> Iterator[tuple[str, IPv4Address]]:
    value = int(address)
    low = value & 0xFFFF_FFFF
    if address in NAT64:
        yield "NAT64", IPv4Address(low)
    elif address in SIX_TO_FOUR:
        yield "6to4", IPv4Address(value >> 80 & 0xFFFF_FFFF)
    elif address in TEREDO:
        yield "Teredo", IPv4Address(value >> 64 & 0xFFFF_FFFF)
        yield "Teredo", IPv4Address(low ^ 0xFFFF_FFFF)
    if value >> 32 & 0xFFFF_FFFF in ISATAP_IDENTIFIERS:
        yield "ISATAP", IPv4Address(low)
