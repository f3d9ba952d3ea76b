"""The tables, as SQLAlchemy sees them; Alembic's migrations make them, and a test compares the two."""

from telefonist.storage.schema.accounts import (
    accounts,
    api_keys,
    audit,
    invites,
    key_budgets,
    refresh_tokens,
    sessions,
)
from telefonist.storage.schema.base import metadata
from telefonist.storage.schema.billing import balances, generations, holds, ledger, model_prices
from telefonist.storage.schema.dialogs import (
    dialogs,
    handoff_decisions,
    handoffs,
    operator_invites,
    operators,
    telegram_chats,
    telegram_messages,
    telegram_updates,
    telegram_users,
)
from telefonist.storage.schema.mailbox import (
    conversations,
    deliveries,
    delivery_attempts,
    idempotency_keys,
    mailboxes,
    messages,
    processes,
    tasks,
    webhook_secrets,
)

__all__ = [
    "accounts",
    "api_keys",
    "audit",
    "balances",
    "conversations",
    "deliveries",
    "delivery_attempts",
    "dialogs",
    "generations",
    "handoff_decisions",
    "handoffs",
    "holds",
    "idempotency_keys",
    "invites",
    "key_budgets",
    "ledger",
    "mailboxes",
    "messages",
    "metadata",
    "model_prices",
    "operator_invites",
    "operators",
    "processes",
    "refresh_tokens",
    "sessions",
    "tasks",
    "telegram_chats",
    "telegram_messages",
    "telegram_updates",
    "telegram_users",
    "webhook_secrets",
]
