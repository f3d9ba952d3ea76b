"""Every setting there is: its type, limits, default, its name in the environment and its place in telefonist.toml."""

from decimal import Decimal
from ipaddress import IPv6Address, ip_address
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import ByteSize, Field, model_validator

from telefonist.settings.declaration import Setting, Table
from telefonist.settings.handoff import HandoffSettings
from telefonist.settings.telegram import TelegramSettings
from telefonist.settings.values import (
    BaseUrl,
    Credits,
    Headers,
    Host,
    Integer,
    LowerCase,
    Networks,
    Port,
    PostgresUrl,
    RateLimit,
    RedisUrl,
    Schedule,
    Seconds,
    Share,
    SigningSecrets,
    Timeout,
)
from telefonist.types import Model, ProviderConfig

SWITCH = "true or false"


class WebhookDoor(Table):
    """``POST /webhook``: how often an address may knock, and what its models are told."""

    rate_limit: Annotated[
        RateLimit,
        Setting(
            "one limit such as 5/minute, 100/hour or 10 per 30 second", "5/minute", "TELEFONIST_WEBHOOK_RATE_LIMIT"
        ),
    ] = "5/minute"
    system_prompt: Annotated[str | None, Setting("a text", "Answer briefly.", "TELEFONIST_WEBHOOK_SYSTEM_PROMPT")] = (
        None
    )
    """None: as everywhere else; an empty text, which only the file can give: no system prompt at this door."""


class ApiDoor(Table):
    """``/v1``: how often an address without an account may ask; keys have limits of their own."""

    rate_limit: Annotated[
        RateLimit,
        Setting("one limit such as 60/minute, 1000/hour or 10 per 30 second", "60/minute", "TELEFONIST_API_RATE_LIMIT"),
    ] = "60/minute"


class ChatDoor(Table):
    """``/chatgpt/`` and ``/gigachat/``: how often an address may knock, and what their models are told."""

    rate_limit: Annotated[
        RateLimit,
        Setting(
            "one limit such as 60/minute, 1000/hour or 10 per 30 second", "60/minute", "TELEFONIST_CHAT_RATE_LIMIT"
        ),
    ] = "60/minute"
    system_prompt: Annotated[str, Setting("a text", "Answer briefly.", "TELEFONIST_CHAT_SYSTEM_PROMPT")] = (
        "Ты заботливый ассистент и хочешь помочь пользователю решить его проблему"
    )
    """Put before a conversation that has no system message of its own; an empty text, which only the file can give:
    nothing is."""


class Doors(Table):
    """What differs from door to door."""

    webhook: WebhookDoor = WebhookDoor()
    api: ApiDoor = ApiDoor()
    chat: ChatDoor = ChatDoor()


class Limits(Table):
    """How much is taken on at once."""

    body: Annotated[
        ByteSize,
        Field(ge=1024, le=100 * 1024 * 1024),
        Setting("a size from 1 KiB to 100 MiB", "1 MiB", "TELEFONIST_BODY_LIMIT"),
    ] = ByteSize(1024 * 1024)
    """Bytes of a request's body."""
    api_body: Annotated[
        ByteSize,
        Field(ge=1024, le=100 * 1024 * 1024),
        Setting("a size from 1 KiB to 100 MiB", "20 MiB", "TELEFONIST_API_BODY_LIMIT"),
    ] = ByteSize(20 * 1024 * 1024)
    """The same below ``/v1``, where pictures come within the body."""
    max_in_flight: Annotated[
        Integer,
        Field(ge=1, le=100_000),
        Setting("a whole number from 1 to 100000", 1000, "TELEFONIST_MAX_IN_FLIGHT"),
    ] = 1000
    """Conversations that one worker answers at once."""
    provider_retries: Annotated[
        Integer, Field(ge=0, le=10), Setting("a whole number from 0 to 10", 2, "TELEFONIST_PROVIDER_RETRIES")
    ] = 2
    """Second tries of a call to a model that is safe to repeat."""
    provider_circuit: Annotated[bool, Setting(SWITCH, True, "TELEFONIST_PROVIDER_CIRCUIT")] = True
    """Whether a model that keeps failing is asked after its fallbacks for a while."""


class DeliverySettings(Table):
    """How answers reach their receivers. Times are seconds."""

    retry_schedule: Annotated[
        Schedule,
        Setting(
            "a list of at most 50 waiting times in seconds, or none",
            [5, 60, 300, 1800, 7200, 18000, 36000],
            "TELEFONIST_DELIVERY_RETRY_SCHEDULE",
        ),
    ] = (5, 60, 300, 1800, 7200, 18000, 36000)
    jitter: Annotated[Share, Setting("a share from 0 to below 1 (0.2 is ±20 %)", 0.2, "TELEFONIST_DELIVERY_JITTER")] = (
        0.2
    )
    hold_back: Annotated[Seconds, Setting("a time in seconds", 600, "TELEFONIST_DELIVERY_HOLD_BACK")] = 600
    """How long a message that waits for its retry holds back the later ones of its conversation."""
    connect_timeout: Annotated[
        Timeout, Setting("a time in seconds above 0", 10, "TELEFONIST_DELIVERY_CONNECT_TIMEOUT")
    ] = 10
    total_timeout: Annotated[Timeout, Setting("a time in seconds above 0", 30, "TELEFONIST_DELIVERY_TOTAL_TIMEOUT")] = (
        30
    )
    per_host: Annotated[
        Integer,
        Field(ge=1, le=10_000),
        Setting("a whole number from 1 to 10000", 50, "TELEFONIST_DELIVERY_PER_HOST"),
    ] = 50
    """Deliveries to one host under way at once."""
    retry_after_cap: Annotated[Seconds, Setting("a time in seconds", 3600, "TELEFONIST_DELIVERY_RETRY_AFTER_CAP")] = (
        3600
    )
    """The longest Retry-After of a receiver that is believed."""
    allowed_networks: Annotated[
        Networks,
        Setting("a network such as 10.0.0.0/8 or fd00::/8", ["172.18.0.0/16"], "TELEFONIST_CALLBACK_ALLOWED_NETWORKS"),
    ] = ()
    """Networks that callbacks may reach although they are not globally routable."""
    headers: Annotated[
        Headers,
        Setting(
            "a list of headers, 'Name: value', separated by '|' or line breaks",
            {"Authorization": "env:CALLBACK_AUTHORIZATION"},
            "TELEFONIST_CALLBACK_HEADERS",
            secret=True,
        ),
    ] = Field(default_factory=dict)
    signing_secrets: Annotated[
        SigningSecrets,
        Setting(
            "one secret, or two separated by a comma, each whsec_ and the base64 of 24 to 64 random bytes",
            "whsec_...",
            "TELEFONIST_WEBHOOK_SECRET",
            in_file=False,
            secret=True,
        ),
    ] = ()
    """Both sign while a rotation lasts; none: the service makes its own."""

    @model_validator(mode="after")
    def _connecting_is_part_of_the_whole(self) -> Self:
        if self.connect_timeout > self.total_timeout:
            raise ValueError(
                "connect_timeout (TELEFONIST_DELIVERY_CONNECT_TIMEOUT) is longer than total_timeout "
                "(TELEFONIST_DELIVERY_TOTAL_TIMEOUT), which contains it: lower the one or raise the other"
            )
        return self


class LogSettings(Table):
    """What is written to the log, and how."""

    level: Annotated[
        Literal["debug", "info", "warning", "error", "critical"],
        LowerCase,
        Setting("debug, info, warning, error or critical", "info", "TELEFONIST_LOG_LEVEL"),
    ] = "info"
    format: Annotated[
        Literal["auto", "json", "text"], LowerCase, Setting("auto, json or text", "json", "TELEFONIST_LOG_FORMAT")
    ] = "auto"
    """``auto``: text on a terminal, JSON elsewhere."""
    messages: Annotated[bool, Setting(SWITCH, False, "TELEFONIST_LOG_MESSAGES")] = False
    """Whether the texts of messages may appear in the log."""


class RedisSettings(Table):
    """Where Redis is, as a URL or, where there is none, as host and port; and what happens without it."""

    url: Annotated[
        RedisUrl | None,
        Setting(
            "a redis://, rediss:// or unix:// URL", "redis://localhost:6379/0", "REDIS_URL", in_file=False, secret=True
        ),
    ] = None
    host: Annotated[
        Host | None, Setting("a host name or address", "localhost", "REDIS_HOST", in_file=False, secret=True)
    ] = None
    port: Annotated[Port, Field(ge=1), Setting("a port from 1 to 65535", 6379, "REDIS_PORT", in_file=False)] = 6379
    away: Annotated[
        Literal["allow", "refuse"], LowerCase, Setting("allow or refuse", "refuse", "TELEFONIST_REDIS_AWAY")
    ] = "allow"
    """While Redis is away: ``allow`` lets each process count requests for itself, ``refuse`` answers them with 503."""


class Options(Table):
    """What can be set beside providers and models."""

    host: Annotated[
        Host, Setting("a host name or address, without scheme and port", "127.0.0.1", "TELEFONIST_HOST")
    ] = "127.0.0.1"
    port: Annotated[Port, Setting("a port from 0 (any free one) to 65535", 8080, "TELEFONIST_PORT")] = 8080
    public_url: Annotated[
        BaseUrl | None,
        Setting("an http:// or https:// URL", "https://telefonist.example.com", "TELEFONIST_PUBLIC_URL"),
    ] = None
    """Where the outside reaches this service, without a slash at the end."""
    data_dir: Annotated[Path, Setting("a folder", "./data", "TELEFONIST_DATA_DIR")] = Path("data")
    config: Annotated[
        Path, Setting("the path of a TOML file", "./telefonist.toml", "TELEFONIST_CONFIG", in_file=False)
    ] = Path("telefonist.toml")
    secret: Annotated[
        str | None,
        Field(min_length=32),
        Setting(
            "a random text of at least 32 characters, as 'openssl rand -hex 32' makes one",
            "...",
            "TELEFONIST_SECRET",
            in_file=False,
            secret=True,
        ),
    ] = None
    """None: the one in the data folder, see ``read_or_make_secret``."""
    database_url: Annotated[
        PostgresUrl | None,
        Setting(
            "a postgresql:// URL",
            "postgresql://user:password@localhost:5432/telefonist",
            "DATABASE_URL",
            in_file=False,
            secret=True,
        ),
    ] = None
    """None: the embedded PostgreSQL; else always of the form ``postgresql://...``, without a driver."""
    redis: RedisSettings = RedisSettings()
    anonymous: Annotated[
        Literal["auto", "on", "off"], LowerCase, Setting('"auto", "on" or "off"', "auto", "TELEFONIST_ANONYMOUS")
    ] = "auto"
    trusted_proxies: Annotated[
        Networks, Setting("a network such as 10.0.0.0/8 or fd00::/8", ["10.0.0.0/8"], "TELEFONIST_TRUSTED_PROXIES")
    ] = ()
    registration: Annotated[
        Literal["open", "invite", "closed"],
        LowerCase,
        Setting("open, invite or closed", "invite", "TELEFONIST_REGISTRATION"),
    ] = "open"
    """Who may make an account: anybody, whoever has an invite, or nobody."""
    start_credits: Annotated[
        Credits,
        Setting("a number of credits from 0 to 1000000 with at most six decimals", 10, "TELEFONIST_START_CREDITS"),
    ] = Decimal(0)
    """Credits that a new account begins with."""
    admin_password: Annotated[
        str | None,
        Setting("a password of 8 to 256 characters", "...", "TELEFONIST_ADMIN_PASSWORD", in_file=False, secret=True),
    ] = None
    """Read by ``telefonist user create-admin`` and ``reset-password`` alone."""
    grace: Annotated[Seconds, Setting("a time in seconds", 20, "TELEFONIST_GRACE")] = 20
    """Seconds that work under way gets to finish when the service is told to stop."""
    system_prompt: Annotated[str, Setting("a text", "You are a helpful assistant.", "TELEFONIST_SYSTEM_PROMPT")] = ""
    doors: Doors = Doors()
    limits: Limits = Limits()
    delivery: DeliverySettings = DeliverySettings()
    handoff: HandoffSettings = HandoffSettings()
    telegram: TelegramSettings = TelegramSettings()
    log: LogSettings = LogSettings()


class Settings(Options):
    """What the service starts with: every option, and the catalogue that keys and file make together."""

    providers: tuple[ProviderConfig, ...]
    models: tuple[Model, ...]
    default_model: str
    """A name of ``models``, never an alias."""
    notes: tuple[str, ...] = ()
    """What whoever starts the service should know although it does not stop the start."""

    @property
    def redis_url(self) -> str | None:
        """Where Redis is, or None to do without."""
        if self.redis.url or not self.redis.host:
            return self.redis.url
        host = f"[{self.redis.host}]" if ":" in self.redis.host else self.redis.host
        return f"redis://{host}:{self.redis.port}/0"

    @property
    def listens_on_loopback(self) -> bool:
        """Whether only this machine can connect."""
        try:
            address = ip_address(self.host)
        except ValueError:
            return self.host.lower().removesuffix(".") == "localhost"
        if isinstance(address, IPv6Address) and address.ipv4_mapped:
            address = address.ipv4_mapped
        return address.is_loopback

    @property
    def loopback_is_open(self) -> bool:
        """Whether ``auto`` lets anonymous callers in: nothing but this machine is meant to reach the service."""
        return self.listens_on_loopback and self.public_url is None

    def system_prompt_for(self, door: WebhookDoor) -> str:
        """Give the door's own system prompt, else the common one."""
        return self.system_prompt if door.system_prompt is None else door.system_prompt

    @property
    def telegram_prompt(self) -> str:
        """Give the system prompt of the Telegram bot, else the common one."""
        own = self.telegram.system_prompt
        return self.system_prompt if own is None else own
