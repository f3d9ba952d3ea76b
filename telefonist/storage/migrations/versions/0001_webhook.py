"""The mailbox, its conversations, webhook tasks and deliveries."""

from alembic import op

revision = "0001"
down_revision = None

STATEMENTS = """
CREATE TABLE processes (
    id uuid PRIMARY KEY,
    kind text NOT NULL,
    host text NOT NULL,
    pid integer NOT NULL,
    started_at timestamptz NOT NULL DEFAULT now(),
    heartbeat_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE conversations (
    id uuid PRIMARY KEY,
    key bytea NOT NULL UNIQUE,
    account_id uuid,
    door text NOT NULL,
    external_id text NOT NULL,
    callback_url text,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE mailboxes (
    conversation_id uuid NOT NULL,
    side text NOT NULL,
    head bigint NOT NULL,
    tail bigint NOT NULL,
    epoch bigint NOT NULL,
    leased_by uuid,
    due_at timestamptz,
    held_until timestamptz,
    PRIMARY KEY (conversation_id, side)
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05);
CREATE INDEX mailboxes_due ON mailboxes (side, due_at) WHERE leased_by IS NULL AND due_at IS NOT NULL;
CREATE INDEX mailboxes_leased ON mailboxes (leased_by) WHERE leased_by IS NOT NULL;
CREATE TABLE messages (
    conversation_id uuid NOT NULL,
    turn bigint NOT NULL,
    part smallint NOT NULL,
    id uuid NOT NULL,
    role text NOT NULL,
    content text NOT NULL,
    tokens integer NOT NULL,
    model text,
    visible boolean NOT NULL DEFAULT true,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (conversation_id, turn, part)
);
CREATE TABLE tasks (
    id uuid PRIMARY KEY,
    conversation_id uuid NOT NULL,
    turn bigint NOT NULL,
    account_id uuid,
    callback_url text NOT NULL,
    model text NOT NULL,
    metadata json,
    state text NOT NULL,
    answered_by text,
    usage json,
    error json,
    created_at timestamptz NOT NULL DEFAULT now(),
    finished_at timestamptz
) WITH (fillfactor = 80);
CREATE UNIQUE INDEX tasks_of_conversation ON tasks (conversation_id, turn);
CREATE TABLE idempotency_keys (
    digest bytea PRIMARY KEY,
    request_digest bytea NOT NULL,
    task_id uuid NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX idempotency_keys_age ON idempotency_keys (created_at);
CREATE TABLE deliveries (
    id uuid PRIMARY KEY,
    conversation_id uuid NOT NULL,
    position bigint NOT NULL,
    task_id uuid,
    account_id uuid,
    callback_url text NOT NULL,
    host text NOT NULL,
    body text NOT NULL,
    state text NOT NULL,
    attempts integer NOT NULL DEFAULT 0,
    tries integer NOT NULL DEFAULT 0,
    due_at timestamptz NOT NULL DEFAULT now(),
    held_until timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    finished_at timestamptz
) WITH (fillfactor = 80);
CREATE INDEX deliveries_pending ON deliveries (conversation_id, position) WHERE state = 'pending';
CREATE INDEX deliveries_of_task ON deliveries (task_id);
CREATE INDEX deliveries_parked ON deliveries (host, id) WHERE state = 'parked';
CREATE TABLE delivery_attempts (
    delivery_id uuid NOT NULL,
    number integer NOT NULL,
    started_at timestamptz NOT NULL,
    milliseconds integer NOT NULL,
    status integer,
    error text,
    response text NOT NULL,
    PRIMARY KEY (delivery_id, number)
);
CREATE TABLE webhook_secrets (
    id uuid PRIMARY KEY,
    account_id uuid,
    sealed bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz
);
CREATE INDEX webhook_secrets_of_account ON webhook_secrets (account_id);
"""


def upgrade() -> None:
    """Make the tables."""
    for statement in STATEMENTS.split(";\n"):
        if statement.strip():
            op.execute(statement)


def downgrade() -> None:
    """Drop the tables."""
    for table in (
        "webhook_secrets",
        "delivery_attempts",
        "deliveries",
        "idempotency_keys",
        "tasks",
        "messages",
        "mailboxes",
        "conversations",
        "processes",
    ):
        op.execute(f"DROP TABLE {table}")
