"""What every table is made with."""

from sqlalchemy import Column, DateTime, MetaData, func

metadata = MetaData()


def moment(name: str, *, nullable: bool = False, now: bool = False) -> Column[object]:
    """Make a column for an aware UTC time."""
    return Column(
        name, DateTime(timezone=True), nullable=nullable, server_default=func.now() if now and not nullable else None
    )
