"""What is set about handing over to a person."""

from datetime import UTC, datetime

import pytest

from telefonist.errors import ConfigurationError
from tests.settings.conftest import Folder


def test_people_work_always_unless_hours_are_set(folder: Folder) -> None:
    sunday = datetime(2026, 11, 22, 3, tzinfo=UTC)
    assert folder.start().handoff.working_hours.open_at(sunday)
    assert not folder.start(TELEFONIST_HANDOFF_HOURS="Mon-Fri 09:00-18:00").handoff.working_hours.open_at(sunday)


def test_hours_are_by_the_clock_of_the_time_zone(folder: Folder) -> None:
    settings = folder.start('[handoff]\nhours = "09:00-18:00"\ntime_zone = "Europe/Moscow"')
    assert settings.handoff.working_hours.open_at(datetime(2026, 11, 20, 6, 30, tzinfo=UTC))
    assert str(settings.handoff.working_hours) == "09:00-18:00 (Europe/Moscow)"


@pytest.mark.parametrize(
    ("name", "value", "complaint"),
    [
        ("TELEFONIST_HANDOFF_HOURS", "nine to five", "'nine to five' is not like 'Mon-Fri 09:00-18:00'"),
        ("TELEFONIST_HANDOFF_TIME_ZONE", "Moscow", "there is no time zone 'Moscow'"),
        ("TELEFONIST_HANDOFF_CAPACITY", "0", "TELEFONIST_HANDOFF_CAPACITY"),
        ("TELEFONIST_HANDOFF_TRANSFER_ABOVE", "1", "TELEFONIST_HANDOFF_TRANSFER_ABOVE"),
        ("TELEFONIST_HANDOFF_PATIENCE", "0", "TELEFONIST_HANDOFF_PATIENCE"),
    ],
)
def test_what_makes_no_sense_stops_the_start_with_words(folder: Folder, name: str, value: str, complaint: str) -> None:
    with pytest.raises(ConfigurationError, match=complaint):
        folder.start(**{name: value})
