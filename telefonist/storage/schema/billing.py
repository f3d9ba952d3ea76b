"""Billing: balances, what is held of them, generations and the ledger; amounts are microcredits.

``holds`` has a row for each metered generation under way; whoever deletes the row settles the generation, so nobody
can settle it twice. A finished generation is a row of ``generations``, whose ``id`` it keeps. The ledger is
append-only; ``balances.entries`` counts an account's entries, and gives each its number under the account's row lock.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    Uuid,
    text,
)

from telefonist.storage.schema.base import metadata, moment

balances = Table(
    "balances",
    metadata,
    Column("account_id", Uuid, primary_key=True),
    Column("balance", BigInteger, nullable=False, server_default=text("0")),
    Column("held", BigInteger, nullable=False, server_default=text("0")),
    Column("entries", BigInteger, nullable=False, server_default=text("0")),
)

holds = Table(
    "holds",
    metadata,
    Column("generation_id", Uuid, primary_key=True),
    Column("process_id", Uuid, nullable=False),
    Column("account_id", Uuid, nullable=False),
    Column("key_id", Uuid),
    Column("door", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("input_price", BigInteger, nullable=False),
    Column("output_price", BigInteger, nullable=False),
    Column("cached_input_price", BigInteger),
    Column("amount", BigInteger, nullable=False),
    Column("streamed", Boolean, nullable=False),
    moment("started_at"),
)
Index("holds_of_process", holds.c.process_id)

generations = Table(
    "generations",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("account_id", Uuid, nullable=False),
    Column("key_id", Uuid),
    Column("door", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("served_by", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("streamed", Boolean, nullable=False),
    Column("prompt_tokens", Integer, nullable=False),
    Column("completion_tokens", Integer, nullable=False),
    Column("cached_tokens", Integer, nullable=False),
    Column("estimated", Boolean, nullable=False),
    Column("input_price", BigInteger, nullable=False),
    Column("output_price", BigInteger, nullable=False),
    Column("cached_input_price", BigInteger),
    Column("charge", BigInteger, nullable=False),
    Column("error", Text),
    Column("first_token_ms", Integer),
    moment("started_at"),
    moment("finished_at", now=True),
)
Index("generations_of_account", generations.c.account_id, generations.c.id)

ledger = Table(
    "ledger",
    metadata,
    Column("account_id", Uuid, primary_key=True),
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("id", Uuid, nullable=False),
    Column("kind", Text, nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("balance", BigInteger, nullable=False),
    Column("generation_id", Uuid),
    Column("model", Text),
    Column("reason", Text),
    Column("actor_id", Uuid),
    Column("idempotency_digest", LargeBinary),
    moment("created_at", now=True),
)
Index(
    "ledger_of_generation",
    ledger.c.generation_id,
    unique=True,
    postgresql_where=text("generation_id IS NOT NULL"),
)
Index(
    "ledger_idempotency",
    ledger.c.idempotency_digest,
    unique=True,
    postgresql_where=text("idempotency_digest IS NOT NULL"),
)

model_prices = Table(
    "model_prices",
    metadata,
    Column("model", Text, primary_key=True),
    Column("input_price", BigInteger, nullable=False),
    Column("output_price", BigInteger, nullable=False),
    Column("cached_input_price", BigInteger),
    moment("changed_at", now=True),
    Column("changed_by", Uuid),
)
