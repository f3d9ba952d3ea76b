"""A provider's words are shown without keys, and still say what they said."""

import pytest

from telefonist.providers.redaction import MAX_REASON, reason_from, redact


@pytest.mark.parametrize(
    "key",
    [
        "sk-proj-abcdefgh",
        "sk-ab**************************wxyz",
        "sk-or-v1-0123456789abcdef0123456789abcdef",
        "tf-0123456789",
        "gsk_abcdefghijkl",
        "AIzaSyD-9tSrke72PouQMnMX-a7eZSW0jkFMBWY",
        "0123456789abcdef0123456789abcdef",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U",
        "MDE5YjA0NWQtZjA3Zi03ZjQ2LWI5ZDEtNjQ5ZmE3ZWYxYzQ5OmFiY2RlZg==",
    ],
)
def test_what_looks_like_a_key_is_masked(key: str) -> None:
    assert redact(f"The key {key} is wrong") == "The key *** is wrong"


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "Basic"])
def test_credentials_are_masked_whatever_they_look_like(scheme: str) -> None:
    assert redact(f'{{"authorization": "{scheme} hunter2"}}') == f'{{"authorization": "{scheme} ***"}}'


@pytest.mark.parametrize(
    "text",
    [
        "The model `gpt-4-0613` does not exist",
        "accounts/fireworks/models/llama-v3p1-405b-instruct-long is not found",
        "mistral-small-3.2-24b-instruct-2506-preview-long-name",
        "request 0199b045-f07f-7f46-b9d1-649fa7ef1c49 failed",
        "see https://platform.openai.com/account/api-keys and https://help.openai.com/en/articles/6891831-Error-Code",
        "a risk-assessment of the task-12345678",
        "Запрос слишком длинный: 123456 токенов",
        "This model's maximum context length is 8192 tokens, however you requested 10000",
    ],
)
def test_what_explains_an_error_stays(text: str) -> None:
    assert redact(text) == text


def test_a_configured_secret_is_masked_whatever_it_looks_like() -> None:
    assert redact("the word is маяк here", ["маяк"]) == "the word is *** here"


def test_a_placeholder_is_not_taken_for_a_secret() -> None:
    assert redact("any word will do", ["", "any"]) == "any word will do"


def test_a_reason_is_one_printable_line() -> None:
    assert reason_from(" a\r\n\tb\x1b[0m\x00c\u202ed ") == "a b [0m c d"


def test_a_secret_is_masked_before_the_reason_is_cut() -> None:
    secret = "a secret of several words"
    reason = reason_from("x" * (MAX_REASON - 10) + secret, [secret])
    assert reason == "x" * (MAX_REASON - 10) + "***"
