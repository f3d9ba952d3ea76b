"""Working hours, by the clock of a time zone."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telefonist.types import WorkingHours

MOSCOW = "Europe/Moscow"  # three hours ahead of UTC, all year


def at(day: str, clock: str) -> datetime:
    """Give a moment of the week of Monday, 16 November 2026 (UTC)."""
    days = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
    hour, minute = (int(part) for part in clock.split(":"))
    return datetime(2026, 11, 16, hour, minute, tzinfo=UTC) + timedelta(days=days.index(day))


@pytest.mark.parametrize(
    ("hours", "zone", "moment", "is_open"),
    [
        ("", "UTC", at("sun", "03:00"), True),
        ("Mon-Fri 09:00-18:00", "UTC", at("mon", "09:00"), True),
        ("Mon-Fri 09:00-18:00", "UTC", at("mon", "08:59"), False),
        ("Mon-Fri 09:00-18:00", "UTC", at("fri", "17:59"), True),
        ("Mon-Fri 09:00-18:00", "UTC", at("fri", "18:00"), False),
        ("Mon-Fri 09:00-18:00", "UTC", at("sat", "12:00"), False),
        ("Mon-Fri 09:00-18:00", MOSCOW, at("mon", "06:00"), True),
        ("Mon-Fri 09:00-18:00", MOSCOW, at("mon", "15:00"), False),
        ("Mon-Fri 09:00-18:00, Sat 10:00-15:00", "UTC", at("sat", "14:59"), True),
        ("Mon-Fri 09:00-18:00, Sat 10:00-15:00", "UTC", at("sun", "12:00"), False),
        ("08:00-20:00", "UTC", at("sun", "08:00"), True),
        ("00:00-24:00", "UTC", at("sun", "23:59"), True),
        ("22:00-06:00", "UTC", at("wed", "23:00"), True),
        ("22:00-06:00", "UTC", at("wed", "05:59"), True),
        ("22:00-06:00", "UTC", at("wed", "12:00"), False),
        ("Sun 22:00-06:00", "UTC", at("mon", "05:00"), True),
        ("Sun 22:00-06:00", "UTC", at("sun", "05:00"), False),
        ("Sat-Mon 10:00-12:00", "UTC", at("sun", "11:00"), True),
        ("Sat-Mon 10:00-12:00", "UTC", at("tue", "11:00"), False),
        ("mon 9:00-10:00", "UTC", at("mon", "09:30"), True),
    ],
)
def test_people_work_when_it_says_so(hours: str, zone: str, moment: datetime, is_open: bool) -> None:
    assert WorkingHours.parse(hours, zone).open_at(moment) is is_open


def test_the_clock_follows_summer_time() -> None:
    berlin = WorkingHours.parse("09:00-10:00", "Europe/Berlin")
    assert berlin.open_at(datetime(2026, 7, 1, 7, 30, tzinfo=UTC))
    assert not berlin.open_at(datetime(2026, 12, 1, 7, 30, tzinfo=UTC))
    assert berlin.open_at(datetime(2026, 12, 1, 8, 30, tzinfo=UTC))


@pytest.mark.parametrize(
    ("hours", "zone", "complaint"),
    [
        ("nine to five", "UTC", "'nine to five' is not like 'Mon-Fri 09:00-18:00'"),
        ("Mo-Fr 09:00-18:00", "UTC", "is not like"),
        ("Foo 09:00-18:00", "UTC", "names a day that is none of mon, tue"),
        ("09:00-25:00", "UTC", "'25:00' is no time of day"),
        ("09:60-18:00", "UTC", "'09:60' is no time of day"),
        ("09:00-18:00", "Mars/Olympus", "there is no time zone 'Mars/Olympus'"),
        ("09:00-18:00", "../etc/passwd", "there is no time zone"),
    ],
)
def test_hours_that_make_no_sense_are_refused_with_words(hours: str, zone: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        WorkingHours.parse(hours, zone)


@given(
    first=st.integers(0, 23),
    last=st.integers(1, 24),
    moment=st.datetimes(timezones=st.just(UTC)),
)
def test_a_span_and_the_rest_of_the_day_make_a_whole_day(first: int, last: int, moment: datetime) -> None:
    if first == last % 24:
        return
    span = WorkingHours.parse(f"{first:02}:00-{last:02}:00")
    rest = WorkingHours.parse(f"{last % 24:02}:00-{first or 24:02}:00")
    assert span.open_at(moment) is not rest.open_at(moment)
