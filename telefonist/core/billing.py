"""What a generation costs: integers only, so that nothing is lost or gained by rounding.

Prices are microcredits for 1000 tokens. What the tokens of one generation cost is summed up first and rounded up once,
to a whole microcredit, so that splitting a text into more kinds of tokens never makes it dearer.
"""

from telefonist.types import Price, Usage

TOKENS_PRICED = 1000
"""Tokens that a price is for."""

LARGEST_HOLD = 10**15
"""Microcredits. A client may ask for any number of tokens; whatever would hold more than this holds this much, which
is more than anybody has and still a number that a database can add up."""


def hold_amount(price: Price, prompt_tokens: int, choices: int, expected_output: int) -> int:
    """Give the microcredits to set aside for a generation: all of its input, and each choice's expected output.

    At least 1 unless the price is free, because a hold is also what lets a generation be settled once. Nothing is
    taken off for input that the provider may have in its cache: that is known only afterwards.
    """
    if price.is_free:
        return 0
    return min(LARGEST_HOLD, max(1, _cost(price.input * prompt_tokens + price.output * choices * expected_output)))


def charge(price: Price, usage: Usage) -> int:
    """Give the microcredits that a generation costs.

    Cached tokens are part of the prompt's, as providers count them; where they have a price of their own it is used
    instead of the input's. Providers have been seen to report more cached tokens than the prompt has: no more than all
    of it counts.
    """
    cached = min(usage.cached_tokens, usage.prompt_tokens)
    cached_price = price.input if price.cached_input is None else price.cached_input
    return _cost(
        price.input * (usage.prompt_tokens - cached) + cached_price * cached + price.output * usage.completion_tokens
    )


def _cost(priced: int) -> int:
    return -(-priced // TOKENS_PRICED)
