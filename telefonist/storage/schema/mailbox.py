"""The mailbox: processes, conversations, messages, tasks and deliveries, and what signs them.

Tables on the hot path (mailboxes, messages, tasks, deliveries, attempts) carry no foreign keys: their rows are written
together in one statement and removed together by conversation, and a key check for each row would cost more than the
row itself.
"""

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    Table,
    Text,
    Uuid,
    text,
)

from telefonist.storage.schema.base import metadata, moment

processes = Table(
    "processes",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("host", Text, nullable=False),
    Column("pid", Integer, nullable=False),
    moment("started_at", now=True),
    moment("heartbeat_at", now=True),
)

conversations = Table(
    "conversations",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("key", LargeBinary, nullable=False, unique=True),
    Column("account_id", Uuid),
    Column("door", Text, nullable=False),
    Column("external_id", Text, nullable=False),
    Column("callback_url", Text),
    moment("created_at", now=True),
)

mailboxes = Table(
    "mailboxes",
    metadata,
    Column("conversation_id", Uuid, primary_key=True),
    Column("side", Text, primary_key=True),
    Column("head", BigInteger, nullable=False),
    Column("tail", BigInteger, nullable=False),
    Column("epoch", BigInteger, nullable=False),
    Column("leased_by", Uuid),
    moment("due_at", nullable=True),
    moment("held_until", nullable=True),
    Column("dialog_epoch", BigInteger, nullable=False, server_default=text("0")),
)
Index(
    "mailboxes_due",
    mailboxes.c.side,
    mailboxes.c.due_at,
    postgresql_where=text("leased_by IS NULL AND due_at IS NOT NULL"),
)
Index("mailboxes_leased", mailboxes.c.leased_by, postgresql_where=text("leased_by IS NOT NULL"))

messages = Table(
    "messages",
    metadata,
    Column("conversation_id", Uuid, primary_key=True),
    Column("turn", BigInteger, primary_key=True, autoincrement=False),
    Column("part", SmallInteger, primary_key=True, autoincrement=False),
    Column("id", Uuid, nullable=False),
    Column("role", Text, nullable=False),
    Column("content", Text, nullable=False),
    Column("tokens", Integer, nullable=False),
    Column("model", Text),
    Column("visible", Boolean, nullable=False, server_default=text("true")),
    moment("created_at", now=True),
)

tasks = Table(
    "tasks",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("conversation_id", Uuid, nullable=False),
    Column("turn", BigInteger, nullable=False),
    Column("account_id", Uuid),
    Column("key_id", Uuid),
    Column("callback_url", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("metadata", JSON),
    Column("state", Text, nullable=False),
    Column("answered_by", Text),
    Column("usage", JSON),
    Column("error", JSON),
    moment("created_at", now=True),
    moment("finished_at", nullable=True),
)
Index("tasks_of_conversation", tasks.c.conversation_id, tasks.c.turn, unique=True)

idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    Column("digest", LargeBinary, primary_key=True),
    Column("request_digest", LargeBinary, nullable=False),
    Column("task_id", Uuid, nullable=False),
    moment("created_at", now=True),
)
Index("idempotency_keys_age", idempotency_keys.c.created_at)

deliveries = Table(
    "deliveries",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("conversation_id", Uuid, nullable=False),
    Column("position", BigInteger, nullable=False),
    Column("task_id", Uuid),
    Column("account_id", Uuid),
    Column("callback_url", Text, nullable=False),
    Column("host", Text, nullable=False),
    Column("body", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    Column("tries", Integer, nullable=False, server_default=text("0")),
    moment("due_at", now=True),
    moment("held_until", nullable=True),
    moment("created_at", now=True),
    moment("finished_at", nullable=True),
)
Index(
    "deliveries_pending",
    deliveries.c.conversation_id,
    deliveries.c.position,
    postgresql_where=text("state = 'pending'"),
)
Index("deliveries_of_task", deliveries.c.task_id)
Index("deliveries_parked", deliveries.c.host, deliveries.c.id, postgresql_where=text("state = 'parked'"))

delivery_attempts = Table(
    "delivery_attempts",
    metadata,
    Column("delivery_id", Uuid, primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    moment("started_at"),
    Column("milliseconds", Integer, nullable=False),
    Column("status", Integer),
    Column("error", Text),
    Column("response", Text, nullable=False),
)

webhook_secrets = Table(
    "webhook_secrets",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("account_id", Uuid),
    Column("sealed", LargeBinary, nullable=False),
    moment("created_at", now=True),
    moment("expires_at", nullable=True),
)
Index("webhook_secrets_of_account", webhook_secrets.c.account_id)
