"""Who is let in without an account, and whose word on an address is taken."""

from ipaddress import ip_network

import httpx
import pytest
from fastapi import FastAPI, Request

from telefonist.doors.errors import install_error_handlers
from telefonist.doors.local_access import AccessPolicy, Network, client_address, client_network
from telefonist.doors.middleware import RequestMiddleware
from telefonist.errors import AuthenticationRequired
from tests.doors.conftest import Serve

AUTO = AccessPolicy("auto", listens_on_loopback=True)
JSON_BODY = {"content-length": "2", "content-type": "application/json"}
Headers = dict[str, str] | list[tuple[str, str]]


def arriving(headers: Headers | None = None, peer: str | None = "127.0.0.1", host: str | None = "127.0.0.1") -> Request:
    pairs = list(headers.items() if isinstance(headers, dict) else headers or [])
    if host is not None:
        pairs.append(("host", host))
    raw = [(name.lower().encode(), value.encode()) for name, value in pairs]
    client = None if peer is None else (peer, 50_000)
    return Request({"type": "http", "method": "POST", "scheme": "http", "headers": raw, "client": client, "path": "/"})


def refusal(policy: AccessPolicy, request: Request) -> str | None:
    try:
        policy.anonymous(request)
    except AuthenticationRequired as error:
        return str(error.values.get("why", error.code))
    return None


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.0.0.1:8080",
        "127.8.8.8",
        "[::1]",
        "[::1]:8080",
        "[::ffff:127.0.0.1]:8080",
        "localhost",
        "LocalHost.:8080",
        "app.localhost:65535",
    ],
)
def test_auto_takes_a_loopback_host(host: str) -> None:
    assert refusal(AUTO, arriving(JSON_BODY, host=host)) is None


@pytest.mark.parametrize(
    "host",
    [
        None,
        "",
        "example.com",
        "example.com:8080",
        "192.168.0.2:8080",
        "0.0.0.0:8080",
        "[::]:8080",
        "2130706433",
        "0x7f.1",
        "127.0.0.1.example.com",
        "localhost.example.com",
        "notlocalhost",
        "localhost@example.com",
        "localhost:8080@example.com",
        "localhost:port",
        "localhost/",
        "::1",
        "[localhost]",
    ],
)
def test_auto_refuses_any_other_host_as_dns_rebinding_would_send_it(host: str | None) -> None:
    assert refusal(AUTO, arriving(JSON_BODY, host=host)) == "why_foreign_host"


def test_auto_refuses_two_hosts() -> None:
    assert refusal(AUTO, arriving([("host", "localhost")])) == "why_foreign_host"


@pytest.mark.parametrize("peer", ["127.0.0.1", "127.1.2.3", "::1", "::ffff:127.0.0.1"])
def test_auto_takes_a_loopback_peer(peer: str) -> None:
    assert refusal(AUTO, arriving(peer=peer)) is None


@pytest.mark.parametrize("peer", [None, "192.0.2.1", "10.0.0.1", "fe80::1%eth0", "::ffff:192.0.2.1", "not an address"])
def test_auto_refuses_any_other_peer(peer: str | None) -> None:
    assert refusal(AUTO, arriving(peer=peer)) == "why_foreign_peer"


@pytest.mark.parametrize(
    "name",
    ["Forwarded", "Via", "X-Real-IP", "X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "x-forwarded-x"],
)
def test_auto_refuses_what_came_through_a_proxy(name: str) -> None:
    assert refusal(AUTO, arriving({name: "anything"})) == "why_forwarded"


def test_auto_refuses_a_service_that_others_can_reach() -> None:
    beyond = AccessPolicy("auto", listens_on_loopback=False)
    public = AccessPolicy("auto", listens_on_loopback=True, public_url="https://example.com")
    assert refusal(beyond, arriving()) == "why_listens_beyond_loopback"
    assert refusal(public, arriving()) == "why_public_url"
    assert AUTO.is_local
    assert not beyond.is_local
    assert not public.is_local


@pytest.mark.parametrize(
    "content_type",
    ["application/json", "application/json; charset=utf-8", "Application/JSON", "application/cloudevents+json"],
)
def test_auto_takes_a_json_body(content_type: str) -> None:
    assert refusal(AUTO, arriving({"content-length": "2", "content-type": content_type})) is None
    assert refusal(AUTO, arriving({"transfer-encoding": "chunked", "content-type": content_type})) is None


@pytest.mark.parametrize(
    "content_type",
    ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "text/json", "", "application/jsonx"],
)
def test_auto_refuses_a_body_that_a_web_page_could_send_without_asking(content_type: str) -> None:
    assert refusal(AUTO, arriving({"content-length": "2", "content-type": content_type})) == "why_not_json"
    assert refusal(AUTO, arriving({"transfer-encoding": "chunked", "content-type": content_type})) == "why_not_json"


def test_auto_refuses_a_body_of_no_kind_but_takes_none_at_all() -> None:
    assert refusal(AUTO, arriving({"content-length": "2"})) == "why_not_json"
    assert refusal(AUTO, arriving({"content-length": "0"})) is None
    assert refusal(AUTO, arriving()) is None


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://example.com"},
        {"origin": "http://127.0.0.1:3000"},
        {"origin": "https://127.0.0.1"},
        {"origin": "null"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    ],
)
def test_auto_refuses_a_page_of_another_site(headers: dict[str, str]) -> None:
    assert refusal(AUTO, arriving({**headers, **JSON_BODY})) == "why_cross_site"


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://127.0.0.1", "sec-fetch-site": "same-origin"},
        {"sec-fetch-site": "none"},
    ],
)
def test_auto_takes_its_own_pages_and_the_address_bar(headers: dict[str, str]) -> None:
    assert refusal(AUTO, arriving({**headers, **JSON_BODY})) is None


def test_on_takes_everybody_and_off_nobody() -> None:
    foreign = arriving({"x-forwarded-for": "192.0.2.1", "origin": "https://example.com"}, "192.0.2.7", "example.com")
    assert refusal(AccessPolicy("on", listens_on_loopback=False), foreign) is None
    assert refusal(AccessPolicy("off", listens_on_loopback=True), arriving()) == "why_anonymous_off"


def test_a_caller_has_a_language_and_the_address_that_limits_count() -> None:
    on = AccessPolicy("on", listens_on_loopback=False)
    caller = on.anonymous(arriving({"accept-language": "ru"}, peer="2001:db8:1:2:3:4:5:6"))
    assert (caller.account_id, caller.address, caller.language) == (None, "2001:db8:1:2::/64", "ru")


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8::1", "2001:db8::/64"),
        ("2001:db8::ffff:1", "2001:db8::/64"),
        ("2001:db8:0:1::1", "2001:db8:0:1::/64"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
    ],
)
def test_an_ipv6_client_is_counted_by_its_64_network(address: str, network: str) -> None:
    assert client_network(address) == network


PROXIES = (ip_network("10.0.0.0/8"), ip_network("2001:db8:ffff::/48"))


def told(headers: Headers, peer: str = "10.0.0.1", proxies: tuple[Network, ...] = PROXIES) -> str:
    return client_address(arriving(headers, peer).scope, proxies)


def test_without_trusted_proxies_nobodys_word_is_taken() -> None:
    assert told({"x-forwarded-for": "192.0.2.1", "forwarded": "for=192.0.2.1"}, proxies=()) == "10.0.0.1"


def test_a_peer_that_is_not_a_trusted_proxy_is_not_believed() -> None:
    assert told({"x-forwarded-for": "192.0.2.1"}, peer="198.51.100.9") == "198.51.100.9"
    assert client_address({"type": "http", "headers": [], "client": None}, PROXIES) == ""


@pytest.mark.parametrize(
    ("value", "client"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("6.6.6.6, 192.0.2.1", "192.0.2.1"),  # the client wrote 6.6.6.6 itself
        ("6.6.6.6, 192.0.2.1, 10.1.1.1", "192.0.2.1"),
        ("10.9.9.9, 192.0.2.1", "192.0.2.1"),
        ("10.1.1.1, 10.2.2.2", "10.1.1.1"),  # a client among the proxies
        ("192.0.2.1:4711", "192.0.2.1"),
        ("[2001:db8::7]:4711", "2001:db8::7"),
        ("2001:db8::7", "2001:db8::7"),
        ("192.0.2.1, 2001:db8:ffff::1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("6.6.6.6, nonsense", "10.0.0.1"),
        ("6.6.6.6, unknown, 10.3.3.3", "10.3.3.3"),
        ("", "10.0.0.1"),
        (",", "10.0.0.1"),
    ],
)
def test_of_x_forwarded_for_the_right_most_untrusted_address_counts(value: str, client: str) -> None:
    assert told({"x-forwarded-for": value}) == client


def test_several_lines_of_x_forwarded_for_are_one_list() -> None:
    assert told([("x-forwarded-for", "6.6.6.6"), ("x-forwarded-for", "192.0.2.1, 10.1.1.1")]) == "192.0.2.1"


@pytest.mark.parametrize(
    ("value", "client"),
    [
        ("for=192.0.2.1", "192.0.2.1"),
        ("For=6.6.6.6;by=1.1.1.1, by=x; for=192.0.2.1;proto=https", "192.0.2.1"),
        ('for=6.6.6.6, for="[2001:db8::7]:4711"', "2001:db8::7"),
        ("for=6.6.6.6, for=_hidden", "10.0.0.1"),
        ("for=6.6.6.6, for=unknown, for=10.3.3.3", "10.3.3.3"),
        ('for=6.6.6.6;x=", for="[2001:db8::7]"', "2001:db8::7"),
        ('for="6.6.6.6, for="[2001:db8::7]"', "10.0.0.1"),  # an open quote hides the proxy's word, not replaces it
        ("by=6.6.6.6", "10.0.0.1"),
    ],
)
def test_of_forwarded_the_right_most_untrusted_address_counts(value: str, client: str) -> None:
    assert told({"forwarded": value}) == client


def test_two_headers_that_disagree_are_both_disbelieved() -> None:
    assert told({"x-forwarded-for": "192.0.2.1", "forwarded": "for=6.6.6.6"}) == "10.0.0.1"
    assert told({"x-forwarded-for": "192.0.2.1", "forwarded": "for=192.0.2.1"}) == "192.0.2.1"


async def test_over_a_real_connection_only_local_programs_are_taken(serve: Serve) -> None:
    app = FastAPI(openapi_url=None)
    install_error_handlers(app)

    @app.api_route("/", methods=["GET", "POST"])
    async def whoami(request: Request) -> str:
        return AUTO.anonymous(request).address

    async with httpx.AsyncClient(base_url=await serve(RequestMiddleware(app, body_limit=100))) as client:
        assert (await client.post("/", json={})).json() == "127.0.0.1"
        assert (await client.get("/")).status_code == 200
        assert (await client.get("/", headers={"host": "rebound.example"})).status_code == 401
        assert (await client.get("/", headers={"x-forwarded-for": "127.0.0.1"})).status_code == 401
        form = await client.post("/", data={"a": "b"}, headers={"accept-language": "ru"})
    assert form.status_code == 401
    assert form.json()["detail"].endswith("(тело без заголовка Content-Type: application/json).")
