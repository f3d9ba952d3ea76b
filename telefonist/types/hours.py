"""Working hours: when people can be called."""

import re
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
WHOLE_DAY = 24 * 60

_PART = re.compile(
    r"(?:(?P<first>[a-z]{3})(?:-(?P<last>[a-z]{3}))?\s+)?(?P<opens>\d{1,2}:\d{2})-(?P<closes>\d{1,2}:\d{2})"
)


@dataclass(frozen=True, slots=True)
class WorkingHours:
    """Spans of the week, in minutes of each day, by the clock of a time zone; no spans: always."""

    text: str
    zone: ZoneInfo
    spans: tuple[tuple[int, int, int], ...]
    """Day (Monday is 0), first minute, and the minute that is no longer within."""

    @classmethod
    def parse(cls, text: str, zone: str = "UTC") -> "WorkingHours":
        """Read ``Mon-Fri 09:00-18:00, Sat 10:00-15:00``; without days it is every day, an empty text is always.

        A span that ends before it begins goes on past midnight. ``zone`` is an IANA name. Raises ValueError.
        """
        try:
            known = ZoneInfo(zone)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError(f"there is no time zone {zone!r}; an IANA name is meant, such as Europe/Moscow") from None
        spans = [span for part in text.split(",") if part.strip() for span in _spans(part.strip().lower())]
        return cls(text.strip(), known, tuple(spans))

    def open_at(self, moment: datetime) -> bool:
        """Say whether an aware moment lies within."""
        if not self.spans:
            return True
        local = moment.astimezone(self.zone)
        minute = local.hour * 60 + local.minute
        return any(day == local.weekday() and opens <= minute < closes for day, opens, closes in self.spans)

    def __str__(self) -> str:
        return f"{self.text} ({self.zone.key})"


def _spans(part: str) -> list[tuple[int, int, int]]:
    found = _PART.fullmatch(part)
    if found is None:
        raise ValueError(f"{part!r} is not like 'Mon-Fri 09:00-18:00'")
    first, last = found["first"], found["last"] or found["first"]
    if first is not None and not {first, last} <= set(DAYS):
        raise ValueError(f"{part!r} names a day that is none of {', '.join(DAYS)}")
    days = range(7) if first is None else _days(DAYS.index(first), DAYS.index(last))
    opens, closes = _minute(found["opens"]), _minute(found["closes"])
    if opens < closes:
        return [(day, opens, closes) for day in days]
    return [span for day in days for span in ((day, opens, WHOLE_DAY), ((day + 1) % 7, 0, closes))]


def _days(first: int, last: int) -> list[int]:
    return [day % 7 for day in range(first, last + 1 if first <= last else last + 8)]


def _minute(clock: str) -> int:
    hour, minute = (int(part) for part in clock.split(":"))
    if minute > 59 or hour * 60 + minute > WHOLE_DAY:
        raise ValueError(f"{clock!r} is no time of day")
    return hour * 60 + minute
