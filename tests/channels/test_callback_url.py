from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import HttpUrl, TypeAdapter
from yarl import URL

from telefonist.channels.address_guard import AddressGuard
from telefonist.channels.callback_url import check_callback_url, host_of, parse_callback_url
from telefonist.errors import FieldProblem, InvalidInput

CLOSED = AddressGuard()
LOOPBACK_OPEN = AddressGuard(allow_loopback=True)


def problem_with(url: str, guard: AddressGuard = CLOSED) -> FieldProblem:
    with pytest.raises(InvalidInput) as invalid:
        check_callback_url(url, guard)
    (problem,) = invalid.value.problems
    assert problem.loc == ("body", "callback_url")
    return problem


@pytest.mark.parametrize(
    ("url", "normal"),
    [
        ("https://hooks.example.com", "https://hooks.example.com/"),
        ("HTTPS://Hooks.Example.COM:443/A?b=C", "https://hooks.example.com/A?b=C"),
        ("http://example.com:80", "http://example.com/"),
        ("http://example.com:8080/?a=1&b=%20c+d#part", "http://example.com:8080/?a=1&b=%20c+d"),
        ("http://example.com?x=1", "http://example.com/?x=1"),
        ("http://example.com/a/../b//c%2f%7e", "http://example.com/a/../b//c%2f%7e"),
        ("http://пример.рф/путь?q=да", "http://xn--e1afmkfd.xn--p1ai/%D0%BF%D1%83%D1%82%D1%8C?q=%D0%B4%D0%B0"),
        ("http://my_service:9000/", "http://my_service:9000/"),
        ("http://example.com./", "http://example.com./"),
        ("http://[2606:4700:0:0::1111]:8443/", "http://[2606:4700::1111]:8443/"),
        ("http://8.8.8.8/", "http://8.8.8.8/"),
        ("http://0x08080808/", "http://8.8.8.8/"),
        ("http://xn--e1afmkfd.xn--p1ai/", "http://xn--e1afmkfd.xn--p1ai/"),
    ],
)
def test_a_public_url_is_accepted_in_its_normal_form(url: str, normal: str) -> None:
    assert check_callback_url(url, CLOSED).url == normal
    assert check_callback_url(normal, CLOSED).url == normal


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.1",
        "127.0.1",
        "2130706433",
        "017700000001",
        "0x7f000001",
        "0X7F.0.0.1",
        "0177.0.0.1",
        "0x7f.1",
        "00000177.0.0.01",
        "127.0.0.1.",
        "127。0。0。1",
        "①②⑦.⓪.⓪.①",
        "１２７．０．０．１",
        "[::1]",
        "[0:0:0:0:0:0:0:1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "localhost",
        "LocalHost",
        "localhost.",
        "db.localhost",
        "a.b.LOCALHOST.",
        "ｌｏｃａｌｈｏｓｔ",
    ],
)
def test_loopback_is_refused_in_every_notation_and_taken_where_it_is_open(host: str) -> None:
    problem = problem_with(f"http://{host}:8080/callback")
    assert problem.type == "callback_url_address"
    assert problem.ctx is not None
    assert problem.ctx["reason"] == "loopback"
    check_callback_url(f"http://{host}:8080/callback", LOOPBACK_OPEN)


@pytest.mark.parametrize(
    ("host", "reason"),
    [
        ("10.0.0.1", "private"),
        ("167772161", "private"),
        ("012.1", "private"),
        ("0xA9FEA9FE", "a metadata service"),
        ("169.254.169.254", "a metadata service"),
        ("[::ffff:169.254.169.254]", "a metadata service"),
        ("[fd00:ec2::254]", "a metadata service"),
        ("[64:ff9b::a9fe:a9fe]", "NAT64 for 169.254.169.254, a metadata service"),
        ("[2002:7f00:1::]", "6to4 for 127.0.0.1, loopback"),
        ("[::127.0.0.1]", "IPv4-compatible"),
        ("0", "this network"),
        ("0x", "this network"),
        ("100.64.1.1", "shared (CGNAT)"),
        ("255.255.255.255", "broadcast"),
        ("[fe80::1]", "link-local"),
        ("[::]", "unspecified"),
    ],
)
def test_an_address_that_is_not_public_is_refused_at_once(host: str, reason: str) -> None:
    problem = problem_with(f"https://{host}/", LOOPBACK_OPEN)
    assert problem.type == "callback_url_address"
    assert problem.ctx is not None
    assert problem.ctx["reason"] == reason
    assert reason in problem.msg


def test_an_opened_network_is_taken() -> None:
    guard = AddressGuard([ip_network("10.1.0.0/16")])
    assert check_callback_url("http://10.1.2.3/", guard).host == "10.1.2.3"
    assert problem_with("http://10.2.2.3/", guard).type == "callback_url_address"


@pytest.mark.parametrize("url", ["ftp://example.com/", "file:///etc/passwd", "gopher://example.com:70/", "ws://a/"])
def test_only_http_and_https_are_taken(url: str) -> None:
    problem = problem_with(url)
    assert (problem.type, problem.ctx) == ("url_scheme", {"expected_schemes": "'http' or 'https'"})


@pytest.mark.parametrize(
    "url", ["http://user:password@example.com/", "http://user@example.com/", "http://@example.com/", "http://a@b@c/"]
)
def test_a_url_with_user_info_is_refused_without_repeating_it(url: str) -> None:
    problem = problem_with(url)
    assert problem.type == "callback_url_user_info"
    assert "password@" not in problem.msg


@pytest.mark.parametrize(
    "url",
    [
        "",
        "example.com/callback",
        "//example.com/",
        "http:/example.com",
        "http:example.com",
        "http://",
        "http:///path",
        "http://:80/",
        "http://.",
        "http://.example.com/",
        "http://a..b/",
        "http://example.com:0/",
        "http://example.com:65536/",
        "http://example.com:99999999/",
        "http://example.com:8o/",
        "http://example.com:８０/",
        "http://example.com:-1/",
        "http://example.com:80:80/",
        "http://exa%6dple.com/",
        "http://exam!ple.com/",
        "http://" + "a" * 64 + ".com/",
        "http://" + "a." * 127 + "com/",
        "http://256.1.1.1/",
        "http://1.2.3.4.5/",
        "http://1.2.3.256/",
        "http://0x100000000/",
        "http://127.0.0.08/",
        "http://example.1/",
        "http://[::1",
        "http://::1/",
        "http://[::1]x/",
        "http://[1.2.3.4]/",
        "http://[v1.a]/",
        "http://[]/",
        "http://[fe80::1%25eth0]/",
        "http://[fe80::1%eth0]/",
        "http://[2606:4700::1%251]/",
        "http://127.0.0.1[::1]/",
        "http://xn--\u0661/",
        " http://example.com/",
        "http://example.com/ ",
        "http://example.com/a b",
        "http://example.com/\r\nX-Injected: 1",
        "http://exam\tple.com/",
        "http://example.com/\x00",
        "http://example.com/\x7f",
        "http://example.com/\u2028",
        "http://example.com/\u202e",
        "http://example.com/\ud800",
        "http://example.com\\@127.0.0.1/",
        "http:\\\\example.com/",
        "http://example.com/\\",
    ],
)
def test_what_is_no_url_of_a_receiver_is_refused(url: str) -> None:
    assert problem_with(url).type == "url_parsing"


def test_a_url_longer_than_the_limit_is_refused() -> None:
    longest = "http://example.com/" + "a" * (2048 - 19)
    check_callback_url(longest, CLOSED)
    problem = problem_with(longest + "a")
    assert (problem.type, problem.ctx) == ("url_too_long", {"max_length": 2048})


def test_one_receiver_has_one_endpoint_however_its_url_is_written() -> None:
    assert {
        host_of(url)
        for url in (
            "http://example.com:443/a",
            "https://EXAMPLE.com/b?c",
            "https://example.com.:443#d",
            "HTTPS://Example.Com:0443",
        )
    } == {"example.com:443"}
    assert host_of("http://127.1:8080/") == host_of("http://0x7f000001:8080/x") == "127.0.0.1:8080"
    assert host_of("https://[2606:4700:0::1]/") == "[2606:4700::1]:443"
    assert host_of("http://пример.рф/") == "xn--e1afmkfd.xn--p1ai:80"


@given(
    st.one_of(
        st.text(max_size=60),
        st.builds("http://{}{}".format, st.text(max_size=30), st.sampled_from(["/", ":80/", "/?a#b", ""])),
        st.from_regex(r"\Ahttps?://[0-9a-fxA-FX.:\[\]%@]{1,24}/\Z"),
    )
)
def test_whatever_is_accepted_leads_where_the_http_client_and_the_door_think_it_does(url: str) -> None:
    try:
        parsed = parse_callback_url(url)
    except InvalidInput:
        return
    client = URL(parsed.url, encoded=True)
    assert client.raw_host == parsed.host
    assert client.port == parsed.port
    assert str(client) == parsed.url
    assert parsed.url.isascii()
    assert parsed.url.isprintable()
    assert " " not in parsed.url
    if url.isascii():
        door = TypeAdapter(HttpUrl).validate_python(url)
        assert door.host is not None
        if parsed.address is None or parsed.address.version == 4:
            assert door.host == parsed.host
        assert door.port == parsed.port
