"""What was used, by day and model, summed from the generations."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from uuid import UUID

from sqlalchemy import BigInteger, cast, func, select

from telefonist.storage.database import Database
from telefonist.storage.schema import generations
from telefonist.types import UsageRow

MARGIN = timedelta(minutes=1)
"""How far the time in a generation's id may be from ``started_at``: two looks at one clock."""


class UsageReports:
    """Reads how much was generated; days are those of UTC, and a generation belongs to the day on which it began."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def by_day_and_model(self, account_id: UUID | None, first: date, last: date) -> Sequence[UsageRow]:
        """Sum an account's generations, or those of all where it is None, over the days from ``first`` to ``last``.

        Both days count. In order of day and model; a day on which nothing was generated has no row. Generations under
        way are not in it. Raises Unavailable.
        """
        start, end = _midnight(first), _midnight(last) + timedelta(days=1)
        day = func.to_char(func.timezone("UTC", generations.c.started_at), "YYYY-MM-DD")
        query = (
            select(
                day.label("day"),
                generations.c.model,
                func.count().label("generations"),
                func.sum(generations.c.prompt_tokens).label("prompt_tokens"),
                func.sum(generations.c.completion_tokens).label("completion_tokens"),
                func.sum(generations.c.cached_tokens).label("cached_tokens"),
                cast(func.sum(generations.c.charge), BigInteger).label("charge"),
            )
            .where(generations.c.id >= _first_id(start - MARGIN), generations.c.id < _first_id(end + MARGIN))
            .where(generations.c.started_at >= start, generations.c.started_at < end)
            .group_by(day, generations.c.model)
            .order_by(day, generations.c.model)
        )
        if account_id is not None:
            query = query.where(generations.c.account_id == account_id)
        async with self._database.begin() as connection:
            return [UsageRow(*row) for row in await connection.execute(query)]


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)


def _first_id(moment: datetime) -> UUID:
    """Give the least UUIDv7 of a moment, so that a range of time is a range of an index on ids (RFC 9562, 5.7)."""
    return UUID(int=int(moment.timestamp() * 1000) << 80)
