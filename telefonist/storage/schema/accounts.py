"""Accounts: who there is, how they show it, and what was changed by whom."""

from sqlalchemy import (
    ARRAY,
    JSON,
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    Uuid,
    text,
)

from telefonist.storage.schema.base import metadata, moment

accounts = Table(
    "accounts",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("email", Text, unique=True),
    Column("password", Text),
    Column("role", Text, nullable=False),
    Column("metered", Boolean, nullable=False, server_default=text("true")),
    moment("created_at", now=True),
    moment("disabled_at", nullable=True),
)

api_keys = Table(
    "api_keys",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("account_id", Uuid, ForeignKey("accounts.id"), nullable=False),
    Column("name", Text, nullable=False),
    Column("digest", LargeBinary, nullable=False, unique=True),
    Column("hint", Text, nullable=False),
    Column("models", ARRAY(Text)),
    Column("requests_per_minute", Integer),
    Column("tokens_per_minute", Integer),
    Column("max_streams", Integer),
    moment("created_at", now=True),
    moment("expires_at", nullable=True),
    moment("last_used_at", nullable=True),
    moment("revoked_at", nullable=True),
)
Index("api_keys_of_account", api_keys.c.account_id)

key_budgets = Table(
    "key_budgets",
    metadata,
    Column("key_id", Uuid, ForeignKey("api_keys.id"), primary_key=True),
    Column("budget", BigInteger, nullable=False),
    Column("spent", BigInteger, nullable=False, server_default=text("0")),
    Column("held", BigInteger, nullable=False, server_default=text("0")),
)

sessions = Table(
    "sessions",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("account_id", Uuid, ForeignKey("accounts.id"), nullable=False),
    moment("created_at", now=True),
    moment("expires_at"),
    moment("revoked_at", nullable=True),
)
Index("sessions_of_account", sessions.c.account_id)
Index("sessions_age", sessions.c.expires_at)

refresh_tokens = Table(
    "refresh_tokens",
    metadata,
    Column("digest", LargeBinary, primary_key=True),
    Column("session_id", Uuid, ForeignKey("sessions.id", ondelete="CASCADE"), nullable=False),
    moment("created_at", now=True),
    moment("used_at", nullable=True),
)
Index("refresh_tokens_of_session", refresh_tokens.c.session_id)

invites = Table(
    "invites",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("digest", LargeBinary, nullable=False, unique=True),
    Column("role", Text, nullable=False),
    Column("email", Text),
    Column("created_by", Uuid, ForeignKey("accounts.id")),
    Column("used_by", Uuid, ForeignKey("accounts.id")),
    moment("created_at", now=True),
    moment("expires_at"),
    moment("used_at", nullable=True),
)

audit = Table(
    "audit",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("actor_id", Uuid),
    Column("action", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("details", JSON, nullable=False),
    moment("created_at", now=True),
)
