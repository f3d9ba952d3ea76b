"""What generations cost, to the microcredit."""

from dataclasses import replace

import pytest

from telefonist.core.billing import LARGEST_HOLD, charge, hold_amount
from telefonist.types import MICROCREDITS, Price, Usage

GPT_4 = Price(input=200 * MICROCREDITS, output=200 * MICROCREDITS)
GEMINI_FLASH = Price(input=100 * MICROCREDITS, output=100 * MICROCREDITS)
FREE = Price()


@pytest.mark.parametrize(("price", "credits_due"), [(GPT_4, 20), (GEMINI_FLASH, 10)])
@pytest.mark.parametrize("usage", [Usage(100, 0), Usage(0, 100), Usage(60, 40), Usage(60, 40, cached_tokens=50)])
def test_a_hundred_tokens_cost_what_the_model_is_priced_at(price: Price, credits_due: int, usage: Usage) -> None:
    assert charge(price, usage) == credits_due * MICROCREDITS


def test_input_and_output_have_prices_of_their_own() -> None:
    assert charge(Price(input=1000, output=3000), Usage(7, 11)) == 7 + 33


def test_cached_input_is_part_of_the_prompt_and_has_its_own_price() -> None:
    assert charge(Price(input=1000, output=0, cached_input=100), Usage(100, 0, cached_tokens=40)) == 60 + 4


def test_cached_input_may_be_free() -> None:
    assert charge(Price(input=1000, output=0, cached_input=0), Usage(100, 0, cached_tokens=100)) == 0


def test_no_more_than_the_whole_prompt_counts_as_cached() -> None:
    assert charge(Price(input=1000, output=0, cached_input=100), Usage(100, 0, cached_tokens=5000)) == 10


@pytest.mark.parametrize(
    ("price", "usage", "due"),
    [
        (Price(input=1, output=1), Usage(1, 0), 1),
        (Price(input=1, output=1), Usage(500, 500), 1),
        (Price(input=1, output=1), Usage(501, 500), 2),
        (Price(input=999, output=999, cached_input=999), Usage(2, 1, cached_tokens=1), 3),
        (Price(input=1, output=1), Usage(), 0),
    ],
)
def test_the_sum_is_rounded_up_once(price: Price, usage: Usage, due: int) -> None:
    assert charge(price, usage) == due


def test_an_estimated_count_costs_as_much_as_a_provider_s() -> None:
    usage = Usage(30, 70)
    assert charge(GPT_4, replace(usage, estimated=True)) == charge(GPT_4, usage)


def test_a_free_model_costs_and_holds_nothing() -> None:
    assert charge(FREE, Usage(10**6, 10**6, 10**6)) == hold_amount(FREE, 10**6, 8, 10**6) == 0


def test_a_hold_is_the_input_and_the_output_expected_of_every_choice() -> None:
    assert hold_amount(Price(input=1000, output=2000), prompt_tokens=10, choices=3, expected_output=256) == 10 + 1536


def test_a_hold_covers_what_is_charged_when_no_more_than_expected_is_written() -> None:
    price = Price(input=333, output=777, cached_input=33)
    assert hold_amount(price, 1000, 2, 50) >= charge(price, Usage(1000, 100, cached_tokens=10))


@pytest.mark.parametrize("price", [Price(input=1), Price(output=1), Price(cached_input=1)])
def test_whatever_is_not_free_holds_something(price: Price) -> None:
    assert hold_amount(price, 0, 1, 0) == 1


def test_a_hold_has_a_largest_amount() -> None:
    assert hold_amount(GPT_4, 10, 128, 10**40) == LARGEST_HOLD
