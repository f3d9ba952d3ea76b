"""From what a person wrote to a value: the forms that text and TOML share.

A validator raises ValueError with a sentence that holds the fix, or with nothing where "is not <what is expected>"
says enough. The sentence never repeats the value, since some of the values are secrets.
"""

import base64
import binascii
import re
from collections.abc import Mapping
from decimal import Decimal
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Annotated, Any
from urllib.parse import SplitResult, urlsplit

from limits import parse_many
from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo

from telefonist.settings.environment import Environment
from telefonist.settings.names import KUBERNETES_FIX
from telefonist.types import MICROCREDITS

POSTGRES_DRIVERS = {"asyncpg", "psycopg", "psycopg2"}
HOST_AND_PORT = re.compile(r"(\[[0-9A-Fa-f:.%]+\]|[^\[\]:]*)(:[0-9]{1,5})?")
MALFORMED_ADDRESS = "its host or port is malformed: percent-encode the special characters of the password"
OUR_HEADERS = {
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "host",
    "transfer-encoding",
    "webhook-id",
    "webhook-signature",
    "webhook-timestamp",
}
VARIABLE = re.compile(r"[A-Z_][A-Z0-9_]*")
HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
HEADER_VALUE = re.compile(r"[\x20-\x7e]*")
HOST_NAME = re.compile(r"(?=.{1,253}$)[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?\.?")
MAX_PRICE = 1_000_000


def _not_a_boolean(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError  # noqa: TRY004  what pydantic turns into its own error
    return value


def _port(value: Any) -> Any:
    if isinstance(value, str) and value.startswith("tcp://"):
        raise ValueError(KUBERNETES_FIX)
    return value


def _lower(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value


def _items(value: Any) -> Any:
    """Split a list written as text; ``none`` is the empty list, since an empty variable counts as unset."""
    if not isinstance(value, str):
        return value
    return () if value.lower() == "none" else tuple(item for item in re.split(r"[\s,]+", value) if item)


def _network(value: Any) -> Any:
    if isinstance(value, IPv4Network | IPv6Network):
        return value
    try:
        return ip_network(str(value))
    except ValueError:
        pass
    try:
        wider = ip_network(str(value), strict=False)
    except ValueError:
        raise ValueError from None
    raise ValueError(f"{value} has bits set past its prefix: write {wider}, or the single address without the prefix")


def _host(value: str) -> str:
    host = value.removeprefix("[").removesuffix("]")
    try:
        return str(ip_address(host))
    except ValueError:
        if HOST_NAME.fullmatch(host):
            return host
        raise ValueError from None


def _split_url(value: str, schemes: set[str]) -> SplitResult:
    """Take a URL apart; ValueError where it has another scheme, no host, a bad port or user info."""
    if re.search(r"[\x00-\x20\x7f]", value):
        raise ValueError("it holds a space or a control character: remove that")
    try:
        url = urlsplit(value)
        has_host = bool(url.hostname) and url.port != 0
    except ValueError:
        raise ValueError("it is not a URL: check its host and port") from None
    if "@" in (url.netloc or value):
        raise ValueError("it holds a user name or password: give the key in its own setting instead")
    if url.scheme not in schemes or not has_host:
        raise ValueError
    return url


def _base_url(value: str) -> str:
    url = _split_url(value, {"http", "https"})
    if url.query or url.fragment:
        raise ValueError("it must end with its path: remove what follows '?' or '#'")
    return value.rstrip("/")


def _api_base_url(value: str) -> str:
    url = _base_url(value)
    if url.endswith("/chat/completions"):
        raise ValueError("it must end before '/chat/completions', which Telefonist adds itself: remove that part")
    return url


def _chat_url(value: str) -> str:
    url = _split_url(value, {"http", "https"})
    if url.fragment or not url.path.strip("/"):
        raise ValueError
    return value


def _postgres_url(value: str) -> str:
    """Bring the forms that SQLAlchemy, Heroku and libpq users write to the one that asyncpg reads."""
    scheme, separator, rest = value.partition("://")
    dialect, _, driver = scheme.partition("+")
    if not separator:
        raise ValueError
    if dialect not in {"postgres", "postgresql"}:
        raise ValueError(
            "it points to another database, but Telefonist keeps its data in PostgreSQL only: give a postgresql:// "
            "URL, or unset DATABASE_URL to use the PostgreSQL that comes with Telefonist"
        )
    if driver and driver not in POSTGRES_DRIVERS:
        raise ValueError("it asks for a driver that Telefonist does not use: write postgresql:// without one")
    normal = f"postgresql://{rest}"
    try:
        url = urlsplit(normal)
    except ValueError:
        raise ValueError(MALFORMED_ADDRESS) from None
    hosts = url.netloc.rpartition("@")[2].split(",")
    if url.fragment or "@" in url.path or not all(HOST_AND_PORT.fullmatch(host) for host in hosts):
        raise ValueError(MALFORMED_ADDRESS)
    return normal


def _redis_url(value: str) -> str:
    try:
        url = urlsplit(value)
        complete = bool(url.path) if url.scheme == "unix" else bool(url.hostname) and url.port != 0
    except ValueError:
        raise ValueError(MALFORMED_ADDRESS) from None
    if url.scheme not in {"redis", "rediss", "unix"} or not complete:
        raise ValueError
    return value


def _rate_limit(value: str) -> str:
    try:
        limits = parse_many(value)
    except ValueError:
        raise ValueError from None
    if len(limits) != 1 or limits[0].amount < 1 or limits[0].get_expiry() < 1:
        raise ValueError
    return value


def _key(value: str) -> str:
    if not re.fullmatch(r"[\x21-\x7e]*", value):
        raise ValueError(
            "it holds characters that no key has (spaces, line breaks, other alphabets): paste the key anew"
        )
    return value


def _signing_secret(value: str) -> str:
    """Check a secret as Standard Webhooks writes it: ``whsec_`` and the base64 of 24 to 64 bytes."""
    try:
        size = len(base64.b64decode(value.removeprefix("whsec_"), validate=True))
    except (binascii.Error, ValueError):
        size = 0
    if not value.startswith("whsec_") or not 24 <= size <= 64:
        raise ValueError
    return value


def _headers(value: Any, info: ValidationInfo) -> Any:
    if isinstance(value, str):
        lines = [line.partition(":") for line in re.split(r"[\n|]", value) if line.strip()]
        pairs = [(name.strip() if colon else "", content.strip()) for name, colon, content in lines]
    elif isinstance(value, Mapping):
        pairs = list(value.items())
    else:
        return value
    seen: set[str] = set()
    headers: dict[str, str] = {}
    for position, (name, given) in enumerate(pairs, 1):
        content = resolve(given, info)
        if not HEADER_NAME.fullmatch(name):
            raise ValueError(f"header {position} is not written as 'Name: value': mend its name")
        if not isinstance(content, str) or not content or not HEADER_VALUE.fullmatch(content):
            raise ValueError(f"the value of header {name} must be printable ASCII text and not empty")
        if name.lower() in OUR_HEADERS:
            raise ValueError(f"header {name} is set by Telefonist itself: remove it")
        if name.lower() in seen:
            raise ValueError(f"header {name} is given twice: keep one")
        seen.add(name.lower())
        headers[name] = content
    return headers


def resolve(value: Any, info: ValidationInfo) -> Any:
    """Replace ``env:NAME`` by the variable's value; ValueError where it is not set."""
    if not isinstance(value, str) or not value.startswith("env:"):
        return value
    name = value.removeprefix("env:").strip()
    if not VARIABLE.fullmatch(name):
        raise ValueError("what follows env: must be the name of a variable, in capitals, such as env:MY_KEY")
    environment: Environment = (info.context or {})["environment"]
    found = environment.find(name)
    if found is None:
        raise ValueError(
            f"it refers to the environment variable {name}, which is not set: set {name} (or {name}_FILE) in the "
            "environment or in .env, or remove this line"
        )
    return found.value


def model_name(value: str) -> str:
    """Check a name that goes into URLs, logs and JSON: printable, without spaces, at most 200 characters."""
    if not value or len(value) > 200 or not value.isprintable() or " " in value:
        raise ValueError
    return value


def microcredits(value: Any) -> int:
    """Convert credits to microcredits exactly; ValueError for more than six decimals, negatives, text."""
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise ValueError  # noqa: TRY004  what pydantic turns into its own error
    credits_ = Decimal(value)
    if not credits_.is_finite() or not 0 <= credits_ <= MAX_PRICE:
        raise ValueError
    rounded = credits_.quantize(Decimal(1) / MICROCREDITS)
    if rounded != credits_:
        raise ValueError("it has more than six decimals: a credit has a million parts, round the price to them")
    return int(rounded * MICROCREDITS)


Integer = Annotated[int, BeforeValidator(_not_a_boolean)]
Port = Annotated[int, Field(ge=0, le=65535), BeforeValidator(_port), BeforeValidator(_not_a_boolean)]
Seconds = Annotated[float, Field(ge=0, le=30 * 86400, allow_inf_nan=False), BeforeValidator(_not_a_boolean)]
Timeout = Annotated[Seconds, Field(gt=0)]
Share = Annotated[float, Field(ge=0, lt=1, allow_inf_nan=False), BeforeValidator(_not_a_boolean)]
Network = IPv4Network | IPv6Network
Networks = Annotated[tuple[Annotated[Network, BeforeValidator(_network)], ...], BeforeValidator(_items)]
Schedule = Annotated[tuple[Seconds, ...], Field(max_length=50), BeforeValidator(_items)]
Host = Annotated[str, AfterValidator(_host)]
BaseUrl = Annotated[str, AfterValidator(_base_url)]
ApiBaseUrl = Annotated[str, AfterValidator(_api_base_url)]
ChatUrl = Annotated[str, AfterValidator(_chat_url)]
PostgresUrl = Annotated[str, AfterValidator(_postgres_url)]
RedisUrl = Annotated[str, AfterValidator(_redis_url)]
RateLimit = Annotated[str, AfterValidator(_rate_limit)]
ApiKey = Annotated[str, AfterValidator(_key), BeforeValidator(resolve)]
SigningSecrets = Annotated[
    tuple[Annotated[str, AfterValidator(_signing_secret)], ...], Field(max_length=2), BeforeValidator(_items)
]
Headers = Annotated[Mapping[str, str], BeforeValidator(_headers)]
Price = Annotated[int, BeforeValidator(microcredits)]
Credits = Annotated[
    Decimal, Field(ge=0, le=MAX_PRICE, decimal_places=6, allow_inf_nan=False), BeforeValidator(_not_a_boolean)
]
LowerCase = BeforeValidator(_lower)
