"""Accounts and billing."""

from alembic import op

from telefonist.types import ANONYMOUS_ACCOUNT, TELEGRAM_ACCOUNT

revision = "0002"
down_revision = "0001"

STATEMENTS = """
ALTER TABLE tasks ADD COLUMN key_id uuid;
CREATE TABLE accounts (
    id uuid PRIMARY KEY,
    email text UNIQUE,
    password text,
    role text NOT NULL,
    metered boolean NOT NULL DEFAULT true,
    created_at timestamptz NOT NULL DEFAULT now(),
    disabled_at timestamptz
);
CREATE TABLE api_keys (
    id uuid PRIMARY KEY,
    account_id uuid NOT NULL REFERENCES accounts,
    name text NOT NULL,
    digest bytea NOT NULL UNIQUE,
    hint text NOT NULL,
    models text[],
    requests_per_minute integer,
    tokens_per_minute integer,
    max_streams integer,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz,
    last_used_at timestamptz,
    revoked_at timestamptz
);
CREATE INDEX api_keys_of_account ON api_keys (account_id);
CREATE TABLE key_budgets (
    key_id uuid PRIMARY KEY REFERENCES api_keys,
    budget bigint NOT NULL,
    spent bigint NOT NULL DEFAULT 0,
    held bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 50);
CREATE TABLE sessions (
    id uuid PRIMARY KEY,
    account_id uuid NOT NULL REFERENCES accounts,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    revoked_at timestamptz
);
CREATE INDEX sessions_age ON sessions (expires_at);
CREATE INDEX sessions_of_account ON sessions (account_id);
CREATE TABLE refresh_tokens (
    digest bytea PRIMARY KEY,
    session_id uuid NOT NULL REFERENCES sessions ON DELETE CASCADE,
    created_at timestamptz NOT NULL DEFAULT now(),
    used_at timestamptz
);
CREATE INDEX refresh_tokens_of_session ON refresh_tokens (session_id);
CREATE TABLE invites (
    id uuid PRIMARY KEY,
    digest bytea NOT NULL UNIQUE,
    role text NOT NULL,
    email text,
    created_by uuid REFERENCES accounts,
    used_by uuid REFERENCES accounts,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    used_at timestamptz
);
CREATE TABLE audit (
    id uuid PRIMARY KEY,
    actor_id uuid,
    action text NOT NULL,
    subject text NOT NULL,
    details json NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE balances (
    account_id uuid PRIMARY KEY,
    balance bigint NOT NULL DEFAULT 0,
    held bigint NOT NULL DEFAULT 0,
    entries bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05);
CREATE TABLE holds (
    generation_id uuid PRIMARY KEY,
    process_id uuid NOT NULL,
    account_id uuid NOT NULL,
    key_id uuid,
    door text NOT NULL,
    model text NOT NULL,
    input_price bigint NOT NULL,
    output_price bigint NOT NULL,
    cached_input_price bigint,
    amount bigint NOT NULL,
    streamed boolean NOT NULL,
    started_at timestamptz NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0.05);
CREATE INDEX holds_of_process ON holds (process_id);
CREATE TABLE generations (
    id uuid PRIMARY KEY,
    account_id uuid NOT NULL,
    key_id uuid,
    door text NOT NULL,
    model text NOT NULL,
    served_by text NOT NULL,
    state text NOT NULL,
    streamed boolean NOT NULL,
    prompt_tokens integer NOT NULL,
    completion_tokens integer NOT NULL,
    cached_tokens integer NOT NULL,
    estimated boolean NOT NULL,
    input_price bigint NOT NULL,
    output_price bigint NOT NULL,
    cached_input_price bigint,
    charge bigint NOT NULL,
    error text,
    first_token_ms integer,
    started_at timestamptz NOT NULL,
    finished_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX generations_of_account ON generations (account_id, id);
CREATE TABLE ledger (
    account_id uuid NOT NULL,
    number bigint NOT NULL,
    id uuid NOT NULL,
    kind text NOT NULL,
    amount bigint NOT NULL,
    balance bigint NOT NULL,
    generation_id uuid,
    model text,
    reason text,
    actor_id uuid,
    idempotency_digest bytea,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (account_id, number)
);
CREATE UNIQUE INDEX ledger_idempotency ON ledger (idempotency_digest) WHERE idempotency_digest IS NOT NULL;
CREATE UNIQUE INDEX ledger_of_generation ON ledger (generation_id) WHERE generation_id IS NOT NULL;
CREATE TABLE model_prices (
    model text PRIMARY KEY,
    input_price bigint NOT NULL,
    output_price bigint NOT NULL,
    cached_input_price bigint,
    changed_at timestamptz NOT NULL DEFAULT now(),
    changed_by uuid
);
"""

BUILT_IN = f"""
INSERT INTO accounts (id, role, metered)
VALUES ('{ANONYMOUS_ACCOUNT}', 'client', false), ('{TELEGRAM_ACCOUNT}', 'client', false)
"""  # noqa: S608  the ids are constants


def upgrade() -> None:
    """Make the tables, and the accounts that stand for callers without one."""
    for statement in STATEMENTS.split(";\n"):
        if statement.strip():
            op.execute(statement)
    op.execute(BUILT_IN)


def downgrade() -> None:
    """Drop the tables."""
    for table in (
        "model_prices",
        "ledger",
        "generations",
        "holds",
        "balances",
        "audit",
        "invites",
        "refresh_tokens",
        "sessions",
        "key_budgets",
        "api_keys",
        "accounts",
    ):
        op.execute(f"DROP TABLE {table}")
    op.execute("ALTER TABLE tasks DROP COLUMN key_id")
