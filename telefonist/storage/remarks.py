"""What is said in a conversation outside its turns: by operators, and by the service itself.

It stands in the history behind the newest message of the user, and goes into the outgoing mailbox behind whatever is
there.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from telefonist.storage.dialogs import Place
from telefonist.storage.mailboxes import CHANNEL
from telefonist.types import Outgoing, Role, Side, TaskState

APPEND = text("""
INSERT INTO messages (conversation_id, turn, part, id, role, content, tokens, visible)
SELECT :conversation, :turn, greatest(coalesce(max(part), 0), 1) + 1, :id, :role, :content, :tokens, :visible
FROM messages WHERE conversation_id = :conversation AND turn = :turn
""")

SEND = text("""
WITH said AS (
    SELECT * FROM unnest(cast(:ids AS uuid[]), cast(:urls AS text[]), cast(:hosts AS text[]), cast(:bodies AS text[]))
        WITH ORDINALITY AS t (id, callback_url, host, body, number)
), box AS (
    INSERT INTO mailboxes AS m (conversation_id, side, head, tail, epoch, due_at)
    SELECT cast(:conversation AS uuid), 'out', 0, count(*), 0, now() FROM said
    ON CONFLICT (conversation_id, side) DO UPDATE
        SET tail = m.tail + EXCLUDED.tail, due_at = least(m.due_at, greatest(now(), m.held_until))
    RETURNING tail
), queued AS (
    INSERT INTO deliveries (id, conversation_id, position, task_id, account_id, callback_url, host, body, state)
    SELECT id, cast(:conversation AS uuid), box.tail - count(*) OVER () + number, cast(:task AS uuid),
        cast(:account AS uuid), callback_url, host, body, 'pending'
    FROM said CROSS JOIN box
)
SELECT pg_notify(cast(:channel AS text), cast(:side AS text))
""")

LEAVE_TASK = text("""
UPDATE tasks SET state = :state, finished_at = now()
WHERE conversation_id = :conversation AND turn = :turn AND state = 'queued'
RETURNING id, callback_url, metadata::text AS metadata
""")


@dataclass(frozen=True, slots=True)
class LeftTask:
    """A task that the bot will not answer any more."""

    task_id: UUID
    callback_url: str
    metadata: str | None


async def append(
    connection: AsyncConnection,
    place: Place,
    role: Role,
    content: str,
    tokens: int,
    message_id: UUID,
) -> None:
    """Write a message into the history; a note is hidden from the user and the models."""
    await connection.execute(
        APPEND,
        {
            "conversation": place.conversation_id,
            "turn": place.tail,
            "id": message_id,
            "role": role.value,
            "content": content,
            "tokens": tokens,
            "visible": role is not Role.NOTE,
        },
    )


async def send(
    connection: AsyncConnection, place: Place, outgoing: Sequence[Outgoing], host: str, task_id: UUID | None = None
) -> None:
    """Put messages into the outgoing mailbox, in order, and wake whoever delivers them."""
    if not outgoing:
        return
    await connection.execute(
        SEND,
        {
            "conversation": place.conversation_id,
            "account": place.account_id,
            "task": task_id,
            "ids": [each.message_id for each in outgoing],
            "urls": [each.callback_url for each in outgoing],
            "hosts": [host] * len(outgoing),
            "bodies": [each.body.decode() for each in outgoing],
            "channel": CHANNEL,
            "side": Side.OUT.value,
        },
    )


async def leave_running_task(connection: AsyncConnection, place: Place) -> LeftTask | None:
    """Take the task that is answered now, or next, away from the bot; None where there is none.

    A worker that is at it hears of it and stops.
    """
    values = {
        "conversation": place.conversation_id,
        "turn": place.head + 1,
        "state": TaskState.WAITING_FOR_OPERATOR.value,
    }
    row = (await connection.execute(LEAVE_TASK, values)).one_or_none()
    if row is None:
        return None
    notice = {"channel": CHANNEL, "notice": f"cancel:{row.id}"}
    await connection.execute(text("SELECT pg_notify(:channel, :notice)"), notice)
    return LeftTask(row.id, row.callback_url, row.metadata)
