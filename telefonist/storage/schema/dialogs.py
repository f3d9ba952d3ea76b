"""Dialogs with people: who answers, operators, handoffs, and what Telegram brings."""

from sqlalchemy import (
    ARRAY,
    JSON,
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
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

operators = Table(
    "operators",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("name", Text, nullable=False),
    Column("account_id", Uuid, ForeignKey("accounts.id"), unique=True),
    Column("telegram_id", BigInteger, unique=True),
    Column("online", Boolean, nullable=False, server_default=text("false")),
    Column("capacity", Integer, nullable=False),
    Column("may_invite", Boolean, nullable=False, server_default=text("false")),
    Column("language", Text, nullable=False),
    Column("talking_in", Uuid),
    moment("created_at", now=True),
    moment("disabled_at", nullable=True),
)

operator_invites = Table(
    "operator_invites",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("digest", LargeBinary, nullable=False, unique=True),
    Column("created_by", Uuid),
    Column("may_invite", Boolean, nullable=False, server_default=text("false")),
    moment("created_at", now=True),
    moment("expires_at"),
    moment("used_at", nullable=True),
    Column("used_by", Uuid),
)

dialogs = Table(
    "dialogs",
    metadata,
    Column("conversation_id", Uuid, primary_key=True),
    Column("owner", Text, nullable=False),
    Column("epoch", BigInteger, nullable=False),
    Column("operator_id", Uuid, ForeignKey("operators.id")),
    Column("handoff_id", Uuid),
    Column("language", Text, nullable=False),
    Column("offer_pending", Boolean, nullable=False, server_default=text("false")),
    Column("offered_to", Uuid, ForeignKey("operators.id")),
    moment("offered_at", nullable=True),
    Column("passed_by", ARRAY(Uuid), nullable=False, server_default=text("'{}'")),
    Column("shown_turn", BigInteger, nullable=False, server_default=text("0")),
    moment("changed_at", now=True),
    moment("user_wrote_at", nullable=True),
    moment("operator_wrote_at", nullable=True),
)
Index(
    "dialogs_with_people",
    dialogs.c.owner,
    dialogs.c.changed_at,
    dialogs.c.conversation_id,
    postgresql_where=text("owner <> 'bot'"),
)
Index("dialogs_of_operator", dialogs.c.operator_id, postgresql_where=text("operator_id IS NOT NULL"))

handoffs = Table(
    "handoffs",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("conversation_id", Uuid, nullable=False),
    Column("reason", Text, nullable=False),
    Column("score", Float),
    Column("detail", Text),
    Column("summary", Text),
    Column("operator_id", Uuid, ForeignKey("operators.id")),
    moment("requested_at", now=True),
    moment("taken_at", nullable=True),
    moment("ended_at", nullable=True),
    Column("ending", Text),
    Column("wrong", Boolean, nullable=False, server_default=text("false")),
    Column("rating", SmallInteger),
)
Index("handoffs_of_conversation", handoffs.c.conversation_id, handoffs.c.id)

handoff_cards = Table(
    "handoff_cards",
    metadata,
    Column("handoff_id", Uuid, primary_key=True),
    Column("operator_id", Uuid, primary_key=True),
)

operator_copies = Table(
    "operator_copies",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("conversation_id", Uuid, nullable=False),
    moment("created_at", now=True),
)

handoff_decisions = Table(
    "handoff_decisions",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("conversation_id", Uuid, nullable=False),
    Column("turn", BigInteger, nullable=False),
    Column("detector", Text, nullable=False),
    Column("score", Float, nullable=False),
    Column("reason", Text, nullable=False),
    Column("decision", Text, nullable=False),
    Column("marked", Text),
    moment("created_at", now=True),
)
Index("handoff_decisions_of_conversation", handoff_decisions.c.conversation_id, handoff_decisions.c.turn)

telegram_users = Table(
    "telegram_users",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=False),
    Column("username", Text),
    Column("name", Text, nullable=False),
    Column("language", Text, nullable=False),
    moment("created_at", now=True),
    moment("banned_at", nullable=True),
)

telegram_chats = Table(
    "telegram_chats",
    metadata,
    Column("conversation_id", Uuid, primary_key=True),
    Column("chat_id", BigInteger, nullable=False),
    Column("thread_id", Integer, nullable=False, server_default=text("0")),
    Column("user_id", BigInteger),
    Column("model", Text),
    Column("topic_id", Integer),
    Column("album", Text),
    moment("created_at", now=True),
    moment("blocked_at", nullable=True),
)
Index("telegram_chats_place", telegram_chats.c.chat_id, telegram_chats.c.thread_id, unique=True)
Index("telegram_chats_topic", telegram_chats.c.topic_id, postgresql_where=text("topic_id IS NOT NULL"))

telegram_updates = Table(
    "telegram_updates",
    metadata,
    Column("update_id", BigInteger, primary_key=True, autoincrement=False),
    Column("conversation_id", Uuid, nullable=False),
    Column("position", BigInteger, nullable=False),
    Column("body", JSON, nullable=False),
    moment("received_at", now=True),
)
Index(
    "telegram_updates_of_conversation",
    telegram_updates.c.conversation_id,
    telegram_updates.c.position,
    unique=True,
)
Index("telegram_updates_age", telegram_updates.c.received_at)

telegram_messages = Table(
    "telegram_messages",
    metadata,
    Column("chat_id", BigInteger, primary_key=True, autoincrement=False),
    Column("telegram_id", BigInteger, primary_key=True, autoincrement=False),
    Column("conversation_id", Uuid, nullable=False),
    Column("message_id", Uuid, nullable=False),
    Column("kind", Text, nullable=False),
    Column("media", JSON),
    moment("created_at", now=True),
)
Index("telegram_messages_of_message", telegram_messages.c.message_id)
