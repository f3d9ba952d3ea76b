"""Whether a caller can pay for anything at all, asked before work is accepted that will be done later."""

from telefonist.core.billing import hold_amount
from telefonist.core.prices import Prices
from telefonist.errors import InsufficientCredits
from telefonist.storage.purses import Purses
from telefonist.types import Caller, Model, format_credits


class Funds:
    """Looks into the purse of whoever pays."""

    def __init__(self, purses: Purses, prices: Prices) -> None:
        self._purses = purses
        self._prices = prices

    async def require(self, caller: Caller, model: Model, *, prompt_tokens: int) -> None:
        """Raise InsufficientCredits when nothing is left and the model is not free, and Unavailable.

        Whoever has something left is let in, however little: the hold decides when the time comes.
        """
        price = await self._prices.of(model)
        if not caller.metered or price.is_free:
            return
        purse = await self._purses.read(caller.payer, caller.key_id)
        need = format_credits(hold_amount(price, prompt_tokens, 1, model.hold_output_default))
        if purse.available <= 0:
            raise InsufficientCredits(
                balance=format_credits(purse.balance), available=format_credits(purse.available), need=need
            )
        if purse.budget_left is not None and purse.budget_left <= 0:
            raise InsufficientCredits("key_budget_spent", left=format_credits(purse.budget_left), need=need)
