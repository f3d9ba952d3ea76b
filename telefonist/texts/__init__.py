"""The one catalogue of texts that people read, in Russian and English.

A text is found by its code and filled with named values; a code without both languages fails the tests.
"""

from collections.abc import Mapping
from typing import Any

from telefonist.texts import accounts, commands, demo, handoff, operators, providers, requests, telegram, trip
from telefonist.types import Catalogue, Language

LANGUAGES: tuple[Language, ...] = ("ru", "en")

TEXTS: Catalogue = {
    **commands.TEXTS,
    **trip.TEXTS,
    **requests.TEXTS,
    **accounts.TEXTS,
    **providers.TEXTS,
    **demo.TEXTS,
    **handoff.TEXTS,
    **operators.TEXTS,
    **telegram.TEXTS,
}


def render(code: str, language: Language, values: Mapping[str, Any] | None = None) -> str:
    """Give the text of ``code`` in ``language`` with its values filled in.

    Raises KeyError for a code or a value that the catalogue does not have: that is a mistake of ours, not of the user.
    """
    return TEXTS[code][language].format_map(values or {})


def preferred_language(accept_language: str | None, default: Language = "en") -> Language:
    """Choose between Russian and English by an ``Accept-Language`` header (RFC 9110, section 12.5.4)."""
    best: tuple[float, Language] | None = None
    for part in (accept_language or "").split(",")[:20]:
        tag, _, parameters = part.partition(";")
        primary = tag.strip().lower().split("-")[0]
        if primary not in LANGUAGES:
            continue
        quality = _quality(parameters)
        if quality > 0 and (best is None or quality > best[0]):
            best = (quality, "ru" if primary == "ru" else "en")
    return best[1] if best else default


def language_of(text: str) -> Language:
    """Tell the language of a person's own words: Russian when Cyrillic letters are not fewer than Latin ones."""
    cyrillic = sum("а" <= character <= "я" or character == "ё" for character in text.lower())
    latin = sum("a" <= character <= "z" for character in text.lower())
    return "ru" if cyrillic and cyrillic >= latin else "en"


def _quality(parameters: str) -> float:
    name, _, value = parameters.strip().partition("=")
    if name != "q":
        return 1.0
    try:
        return float(value)
    except ValueError:
        return 0.0
