"""The catalogue speaks both languages, and picks the one a person asks for."""

import re
import string

import pytest

from telefonist import texts
from telefonist.errors import (
    AuthenticationRequired,
    ConfigurationError,
    FieldProblem,
    InvalidInput,
    RateLimited,
    TelefonistError,
)
from telefonist.types import Language


def placeholders(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


def error_classes(base: type[TelefonistError] = TelefonistError) -> list[type[TelefonistError]]:
    return [base, *(known for child in base.__subclasses__() for known in error_classes(child))]


@pytest.mark.parametrize("code", texts.TEXTS)
def test_every_text_exists_in_both_languages_with_the_same_values(code: str) -> None:
    text = texts.TEXTS[code]
    assert set(text) == set(texts.LANGUAGES)
    assert all(text.values())
    assert placeholders(text["ru"]) == placeholders(text["en"])


@pytest.mark.parametrize("code", texts.TEXTS)
def test_a_russian_text_is_written_in_russian_and_an_english_one_is_not(code: str) -> None:
    assert re.search("[а-яё]", texts.TEXTS[code]["ru"])
    assert not re.search("[а-яё]", texts.TEXTS[code]["en"])


@pytest.mark.parametrize("error", [known for known in error_classes() if "code" in vars(known)])
def test_every_error_has_a_text(error: type[TelefonistError]) -> None:
    assert error.code in texts.TEXTS


def test_a_value_that_the_catalogue_needs_must_be_given() -> None:
    with pytest.raises(KeyError):
        texts.render("rate_limited", "en", {"limit": "5/minute"})


def test_an_error_speaks_the_language_it_is_asked_for() -> None:
    error = RateLimited(limit="5/minute", seconds=12)
    assert error.text("ru") == "Слишком много запросов: разрешено 5/minute. Повторите через 12 с."
    assert str(error) == "Too many requests: the limit is 5/minute. Try again in 12 s."


def test_the_reason_of_a_refused_anonymous_request_is_translated_too() -> None:
    error = AuthenticationRequired(why="why_forwarded")
    assert "запрос пришёл через прокси" in error.text("ru")
    assert "the request came through a proxy" in error.text("en")
    assert "Authorization" in AuthenticationRequired("credentials_not_accepted").text("en")


def test_invalid_input_names_every_field() -> None:
    error = InvalidInput(
        [FieldProblem("missing", ("body", "message"), "Field required"), FieldProblem("x", ("query", 0), "no")]
    )
    assert str(error) == "The request is invalid: body.message: Field required; query.0: no."


def test_a_configuration_error_keeps_its_own_words() -> None:
    assert ConfigurationError("Set TELEFONIST_SECRET.").text("ru") == "Set TELEFONIST_SECRET."


@pytest.mark.parametrize(
    ("header", "language"),
    [
        (None, "en"),
        ("", "en"),
        ("ru", "ru"),
        ("ru-RU,ru;q=0.9,en;q=0.8", "ru"),
        ("en-US,en;q=0.9,ru;q=0.8", "en"),
        ("en;q=0.3, RU;q=0.7", "ru"),
        ("de-DE, fr;q=0.5", "en"),
        ("de, ru;q=0.1", "ru"),
        ("ru;q=0, en", "en"),
        ("ru;q=nonsense, en;q=0.1", "en"),
        ("*", "en"),
        (", ".join(["de"] * 20) + ", ru", "en"),
    ],
)
def test_the_language_follows_accept_language(header: str | None, language: Language) -> None:
    assert texts.preferred_language(header) == language


def test_the_default_language_can_be_chosen() -> None:
    assert texts.preferred_language("de", default="ru") == "ru"


@pytest.mark.parametrize(
    ("words", "language"),
    [("Привет", "ru"), ("ёлка", "ru"), ("hello", "en"), ("Привет, Bob", "ru"), ("see «мир» below", "en"), ("42", "en")],
)
def test_the_language_of_words_is_told_by_their_letters(words: str, language: Language) -> None:
    assert texts.language_of(words) == language
