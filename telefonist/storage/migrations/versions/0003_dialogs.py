"""Dialogs with people: operators, handoffs, Telegram."""

from alembic import op

revision = "0003"
down_revision = "0002"

STATEMENTS = """
CREATE TABLE operators (
    id uuid PRIMARY KEY,
    name text NOT NULL,
    account_id uuid UNIQUE REFERENCES accounts,
    telegram_id bigint UNIQUE,
    online boolean NOT NULL DEFAULT false,
    capacity integer NOT NULL,
    may_invite boolean NOT NULL DEFAULT false,
    language text NOT NULL,
    talking_in uuid,
    created_at timestamptz NOT NULL DEFAULT now(),
    disabled_at timestamptz
);
CREATE TABLE operator_invites (
    id uuid PRIMARY KEY,
    digest bytea NOT NULL UNIQUE,
    created_by uuid,
    may_invite boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    used_at timestamptz,
    used_by uuid
);
CREATE TABLE dialogs (
    conversation_id uuid PRIMARY KEY,
    owner text NOT NULL,
    epoch bigint NOT NULL,
    operator_id uuid REFERENCES operators,
    handoff_id uuid,
    language text NOT NULL,
    offer_pending boolean NOT NULL DEFAULT false,
    offered_to uuid REFERENCES operators,
    offered_at timestamptz,
    passed_by uuid[] NOT NULL DEFAULT '{}',
    shown_turn bigint NOT NULL DEFAULT 0,
    changed_at timestamptz NOT NULL DEFAULT now(),
    user_wrote_at timestamptz,
    operator_wrote_at timestamptz
) WITH (fillfactor = 80);
ALTER TABLE mailboxes ADD COLUMN dialog_epoch bigint NOT NULL DEFAULT 0;
CREATE INDEX dialogs_of_operator ON dialogs (operator_id) WHERE operator_id IS NOT NULL;
CREATE INDEX dialogs_with_people ON dialogs (owner, changed_at, conversation_id) WHERE owner <> 'bot';
CREATE TABLE handoffs (
    id uuid PRIMARY KEY,
    conversation_id uuid NOT NULL,
    reason text NOT NULL,
    score float,
    detail text,
    summary text,
    operator_id uuid REFERENCES operators,
    requested_at timestamptz NOT NULL DEFAULT now(),
    taken_at timestamptz,
    ended_at timestamptz,
    ending text,
    wrong boolean NOT NULL DEFAULT false,
    rating smallint
);
CREATE INDEX handoffs_of_conversation ON handoffs (conversation_id, id);
CREATE TABLE handoff_cards (
    handoff_id uuid NOT NULL,
    operator_id uuid NOT NULL,
    PRIMARY KEY (handoff_id, operator_id)
);
CREATE TABLE operator_copies (
    id uuid PRIMARY KEY,
    conversation_id uuid NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE handoff_decisions (
    id uuid PRIMARY KEY,
    conversation_id uuid NOT NULL,
    turn bigint NOT NULL,
    detector text NOT NULL,
    score float NOT NULL,
    reason text NOT NULL,
    decision text NOT NULL,
    marked text,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX handoff_decisions_of_conversation ON handoff_decisions (conversation_id, turn);
CREATE TABLE telegram_users (
    id bigint PRIMARY KEY,
    username text,
    name text NOT NULL,
    language text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    banned_at timestamptz
);
CREATE TABLE telegram_chats (
    conversation_id uuid PRIMARY KEY,
    chat_id bigint NOT NULL,
    thread_id integer NOT NULL DEFAULT 0,
    user_id bigint,
    model text,
    topic_id integer,
    album text,
    created_at timestamptz NOT NULL DEFAULT now(),
    blocked_at timestamptz
);
CREATE UNIQUE INDEX telegram_chats_place ON telegram_chats (chat_id, thread_id);
CREATE INDEX telegram_chats_topic ON telegram_chats (topic_id) WHERE topic_id IS NOT NULL;
CREATE TABLE telegram_updates (
    update_id bigint PRIMARY KEY,
    conversation_id uuid NOT NULL,
    position bigint NOT NULL,
    body json NOT NULL,
    received_at timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX telegram_updates_of_conversation ON telegram_updates (conversation_id, position);
CREATE INDEX telegram_updates_age ON telegram_updates (received_at);
CREATE TABLE telegram_messages (
    chat_id bigint NOT NULL,
    telegram_id bigint NOT NULL,
    conversation_id uuid NOT NULL,
    message_id uuid NOT NULL,
    kind text NOT NULL,
    media json,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (chat_id, telegram_id)
);
CREATE INDEX telegram_messages_of_message ON telegram_messages (message_id);
"""


def upgrade() -> None:
    """Make the tables."""
    for statement in STATEMENTS.split(";\n"):
        if statement.strip():
            op.execute(statement)


def downgrade() -> None:
    """Drop the tables."""
    for table in (
        "telegram_messages",
        "telegram_updates",
        "telegram_chats",
        "telegram_users",
        "handoff_decisions",
        "operator_copies",
        "handoff_cards",
        "handoffs",
        "dialogs",
        "operator_invites",
        "operators",
    ):
        op.execute(f"DROP TABLE {table}")
    op.execute("ALTER TABLE mailboxes DROP COLUMN dialog_epoch")
