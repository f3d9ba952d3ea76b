from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telefonist.channels.address_guard import METADATA, AddressGuard, AddressRefused

CLOSED = AddressGuard()

PUBLIC = (
    "1.1.1.1",
    "8.8.8.8",
    "9.255.255.255",
    "11.0.0.0",
    "100.63.255.255",
    "100.128.0.0",
    "126.255.255.255",
    "128.0.0.0",
    "169.253.255.255",
    "169.255.0.0",
    "172.15.255.255",
    "172.32.0.0",
    "192.0.1.0",
    "192.31.196.1",
    "192.167.255.255",
    "192.169.0.0",
    "198.17.255.255",
    "198.20.0.0",
    "223.255.255.255",
    "2606:4700:4700::1111",
    "2a02:6b8::2:242",
    "2001:200::1",
    "::ffff:8.8.8.8",
    "64:ff9b::808:808",
    "2002:808:808::1",
    "2001:0:808:808::f7f7:f7f7",
)

REFUSED = {
    "0.0.0.0": "this network",
    "0.255.255.255": "this network",
    "10.0.0.1": "private",
    "10.255.255.255": "private",
    "100.64.0.1": "shared (CGNAT)",
    "100.127.255.255": "shared (CGNAT)",
    "127.0.0.1": "loopback",
    "127.255.255.254": "loopback",
    "169.254.0.1": "link-local",
    "172.16.0.1": "private",
    "172.31.255.255": "private",
    "192.0.0.9": "reserved for protocols",
    "192.0.2.1": "documentation",
    "192.88.99.1": "a 6to4 relay",
    "192.168.0.1": "private",
    "198.18.0.1": "benchmarking",
    "198.19.255.255": "benchmarking",
    "198.51.100.1": "documentation",
    "203.0.113.1": "documentation",
    "224.0.0.1": "multicast",
    "239.255.255.255": "multicast",
    "240.0.0.1": "reserved",
    "255.255.255.254": "reserved",
    "255.255.255.255": "broadcast",
    "::": "unspecified",
    "::1": "loopback",
    "::8.8.8.8": "IPv4-compatible",
    "::127.0.0.1": "IPv4-compatible",
    "::ffff:127.0.0.1": "loopback",
    "::ffff:10.0.0.1": "private",
    "::ffff:0:8.8.8.8": "not global unicast",
    "64:ff9b::127.0.0.1": "NAT64 for 127.0.0.1, loopback",
    "64:ff9b::a9fe:a9fe": "NAT64 for 169.254.169.254, a metadata service",
    "64:ff9b:1::808:808": "local-use NAT64",
    "100::1": "discard-only",
    "2001:0:7f00:1::f7f7:f7f7": "Teredo for 127.0.0.1, loopback",
    "2001:0:808:808::80ff:fffe": "Teredo for 127.0.0.1, loopback",
    "2001:1::1": "reserved for protocols",
    "2001:2::1": "benchmarking",
    "2001:10::1": "reserved for protocols",
    "2001:db8::1": "documentation",
    "2002:a00:1::": "6to4 for 10.0.0.1, private",
    "2002:7f00:1::1": "6to4 for 127.0.0.1, loopback",
    "2606:4700::5efe:10.0.0.1": "ISATAP for 10.0.0.1, private",
    "2606:4700::200:5efe:192.168.0.1": "ISATAP for 192.168.0.1, private",
    "3fff::1": "documentation",
    "4000::1": "not global unicast",
    "5f00::1": "not global unicast",
    "fc00::1": "private",
    "fd12:3456::1": "private",
    "fe80::1": "link-local",
    "fe80::1%eth0": "bound to a network interface",
    "2606:4700::1%1": "bound to a network interface",
    "fec0::1": "site-local",
    "ff02::1": "multicast",
    "169.254.169.254": "a metadata service",
    "169.254.170.2": "a metadata service",
    "168.63.129.16": "a metadata service",
    "100.100.100.200": "a metadata service",
    "::ffff:169.254.169.254": "a metadata service",
    "fd00:ec2::254": "a metadata service",
    "callback.example": "not an address",
}


@pytest.mark.parametrize("address", PUBLIC)
def test_an_address_of_the_public_internet_is_allowed(address: str) -> None:
    CLOSED.check(address)
    CLOSED.check(ip_address(address))


@pytest.mark.parametrize(("address", "reason"), REFUSED.items())
def test_any_other_address_is_refused_with_its_reason(address: str, reason: str) -> None:
    with pytest.raises(AddressRefused) as refused:
        CLOSED.check(address)
    assert refused.value.reason == reason
    assert str(refused.value).endswith(f" is {reason}")


@pytest.mark.parametrize("address", ["127.0.0.1", "127.3.2.1", "::1", "::ffff:127.0.0.1"])
def test_loopback_is_open_where_it_was_allowed(address: str) -> None:
    AddressGuard(allow_loopback=True).check(address)


@pytest.mark.parametrize("address", ["10.0.0.1", "0.0.0.0", "64:ff9b::7f00:1", "2002:7f00:1::1", "::127.0.0.1"])
def test_allowing_loopback_opens_nothing_else(address: str) -> None:
    with pytest.raises(AddressRefused):
        AddressGuard(allow_loopback=True).check(address)


def test_an_allowed_network_is_open_and_its_neighbour_is_not() -> None:
    guard = AddressGuard([ip_network("10.1.0.0/16"), ip_network("fd12::/16")])
    for address in ("10.1.2.3", "::ffff:10.1.2.3", "fd12::1"):
        guard.check(address)
    for address in ("10.2.0.1", "fd13::1", "64:ff9b::a01:203"):
        with pytest.raises(AddressRefused):
            guard.check(address)


def test_an_allowed_network_does_not_open_the_metadata_service_inside_it() -> None:
    guard = AddressGuard([ip_network("169.254.0.0/16"), ip_network("0.0.0.0/0"), ip_network("::/0")])
    guard.check("169.254.1.1")
    for address in METADATA:
        with pytest.raises(AddressRefused, match="metadata"):
            guard.check(address)
    AddressGuard([ip_network("169.254.169.254/32")]).check("169.254.169.254")


@given(st.ip_addresses(v=4))
def test_what_python_calls_not_global_is_never_allowed(address: IPv4Address) -> None:
    if not address.is_global or address.is_multicast:
        with pytest.raises(AddressRefused):
            CLOSED.check(address)


@given(st.ip_addresses(v=4))
def test_an_ipv4_address_is_judged_alike_in_every_wrapping(address: IPv4Address) -> None:
    value = int(address)
    wrappings = [
        IPv6Address(0xFFFF << 32 | value),
        IPv6Address(0x64_FF9B << 96 | value),
        IPv6Address(0x2002 << 112 | value << 80),
        IPv6Address(0x2001_0000 << 96 | 0x0808_0808 << 64 | value ^ 0xFFFF_FFFF),
        IPv6Address(0x2A00 << 112 | 0x5EFE << 32 | value),
    ]
    assert {_allowed(wrapping) for wrapping in wrappings} == {_allowed(address)}


@given(st.ip_addresses(v=6))
def test_an_ipv6_address_outside_global_unicast_is_never_allowed(address: IPv6Address) -> None:
    if int(address) >> 125 != 0b001 and address not in ip_network("64:ff9b::/96") and not address.ipv4_mapped:
        assert not _allowed(address)


def _allowed(address: IPv4Address | IPv6Address) -> bool:
    try:
        CLOSED.check(address)
    except AddressRefused:
        return False
    return True
