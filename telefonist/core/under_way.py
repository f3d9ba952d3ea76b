"""A generation between its beginning and its settlement."""

from dataclasses import dataclass

from telefonist.core.admission import Admission
from telefonist.core.metering import Meter
from telefonist.types import GenerationState, Usage


@dataclass(frozen=True, slots=True)
class UnderWay:
    """What was taken for a generation: its place within the limits, and its hold."""

    admission: Admission
    meter: Meter

    async def end(
        self,
        state: GenerationState,
        served_by: str,
        usage: Usage | None = None,
        *,
        error: str | None = None,
        first_token_ms: int | None = None,
    ) -> int:
        """Settle and give the place back; gives the charge, and raises what ``Meter.settle`` does."""
        usage = usage or Usage()
        try:
            return await self.meter.settle(state, served_by, usage, error=error, first_token_ms=first_token_ms)
        finally:
            await self.admission.leave(usage.total_tokens)
