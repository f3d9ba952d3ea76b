"""Whether a caller can pay for anything at all, asked before work is accepted that will be done later."""

from telefonist.core.prices import Prices
from telefonist.errors import InsufficientCredits
from telefonist.storage.purses import Purses
from telefonist.types import Caller, Model, format_credits


class Funds:
    """Looks into the purse of whoever pays."""

    def __init__(self, purses: Purses, prices: Prices) -> None:
        self._purses = purses
        self._prices = prices

    async def require(self, caller: Caller, model: Model) -> None:
        """Raise InsufficientCredits when nothing is left and the model is not free, and Unavailable."""
        if not caller.metered or (await self._prices.of(model)).is_free:
            return
        purse = await self._purses.read(caller.payer, caller.key_id)
        if purse.available <= 0:
            raise InsufficientCredits("no_credits_left", available=format_credits(purse.available))
        if purse.budget_left is not None and purse.budget_left <= 0:
            raise InsufficientCredits("no_budget_left", left=format_credits(purse.budget_left))
