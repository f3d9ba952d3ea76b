"""When a person is called, how long anybody is waited for, and when people work."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from telefonist.settings.declaration import Setting, Table
from telefonist.settings.values import Integer, Share, Timeout
from telefonist.types import WorkingHours

A_TIME = "a time in seconds"
A_SCORE = "a score from 0 to below 1"


class HandoffSettings(Table):
    """Handing over to a person. Times are seconds; scores are those of the detectors, from 0 to 1."""

    transfer_above: Annotated[Share, Setting(A_SCORE, 0.5, "TELEFONIST_HANDOFF_TRANSFER_ABOVE")] = 0.5
    """A wish for a person that scores higher is granted."""
    offer_above: Annotated[Share, Setting(A_SCORE, 0.5, "TELEFONIST_HANDOFF_OFFER_ABOVE")] = 0.5
    """An answer that scores higher as no help comes with the offer of a person."""
    patience: Annotated[Timeout, Setting(f"{A_TIME} above 0", 60, "TELEFONIST_HANDOFF_PATIENCE")] = 60
    """How long one operator has to take a conversation before it is offered to the next."""
    silence: Annotated[Timeout, Setting(f"{A_TIME} above 0", 1800, "TELEFONIST_HANDOFF_SILENCE")] = 1800
    """How long nobody writes before an operator's conversation goes back to the bot."""
    wait: Annotated[Timeout, Setting(f"{A_TIME} above 0", 86400, "TELEFONIST_HANDOFF_WAIT")] = 86400
    """How long a conversation waits for an operator before it goes back to the bot."""
    capacity: Annotated[
        Integer,
        Field(ge=1, le=1000),
        Setting("a whole number from 1 to 1000", 5, "TELEFONIST_HANDOFF_CAPACITY"),
    ] = 5
    """Conversations that a new operator is given at once."""
    hours: Annotated[
        str,
        Setting(
            "hours such as 'Mon-Fri 09:00-18:00, Sat 10:00-15:00'", "Mon-Fri 09:00-18:00", "TELEFONIST_HANDOFF_HOURS"
        ),
    ] = ""
    """When operators work; empty: always."""
    time_zone: Annotated[
        str, Setting("an IANA time zone such as Europe/Moscow", "Europe/Moscow", "TELEFONIST_HANDOFF_TIME_ZONE")
    ] = "UTC"

    tool: Annotated[bool, Setting("true or false", False, "TELEFONIST_HANDOFF_TOOL")] = True
    """Whether models are offered the tool by which they call a person themselves."""

    @property
    def working_hours(self) -> WorkingHours:
        """When operators work, by the clock of their time zone."""
        return WorkingHours.parse(self.hours, self.time_zone)

    @model_validator(mode="after")
    def _hours_can_be_read(self) -> Self:
        try:
            WorkingHours.parse(self.hours, self.time_zone)
        except ValueError as error:
            raise ValueError(
                f"hours (TELEFONIST_HANDOFF_HOURS) or time_zone (TELEFONIST_HANDOFF_TIME_ZONE) cannot be read: {error}"
            ) from None
        return self
