"""What a provider says, made fit for people and logs: one line, short, without keys."""

import re
from collections.abc import Iterable

MAX_REASON = 300
"""Characters of a provider's explanation that are kept."""

MASK = "***"
_SHORTEST_SECRET = 4
"""A configured secret shorter than this is a placeholder; masking it would mask half the words."""

_CREDENTIAL = re.compile(r"\b(Bearer|Basic)\s+[^\s\"',;]+", re.IGNORECASE)
_PREFIXED_KEY = re.compile(r"(?<![A-Za-z0-9])(?:sk|pk|rk|tf|gsk|xai|hf|ghp|glpat)[-_][\w*.\-]{4,}", re.ASCII)
_LONG_TOKEN = re.compile(r"[A-Za-z0-9_+/=.~-]{24,}")
_SEPARATORS = re.compile(r"[/.=]")
_RANDOM_PART = 20
"""Characters from which a part that mixes cases and digits is taken for random rather than for a word in a path."""
_UNBROKEN = re.compile(r"[a-z0-9]{32,}", re.IGNORECASE)


def redact(text: str, secrets: Iterable[str] = ()) -> str:
    """Mask the given secrets and whatever looks like a key.

    Providers echo keys in their errors ("Incorrect API key provided: sk-..."), and not only ours: a proxy may name its
    own. Masked are ``Bearer`` and ``Basic`` credentials, keys with a known prefix, and long random tokens; model names
    and UUIDs, which explain an error, stay.
    """
    for secret in secrets:
        if len(secret) >= _SHORTEST_SECRET:
            text = text.replace(secret, MASK)
    text = _CREDENTIAL.sub(rf"\1 {MASK}", text)
    text = _PREFIXED_KEY.sub(MASK, text)
    return _LONG_TOKEN.sub(_mask_if_random, text)


def reason_from(text: str, secrets: Iterable[str] = ()) -> str:
    """Turn a provider's own words into a reason: redacted first, then one line of at most ``MAX_REASON`` characters.

    Control and formatting characters become spaces: they could forge log lines or colour a terminal.
    """
    redacted = redact(text, secrets)
    line = " ".join("".join(character if character.isprintable() else " " for character in redacted).split())
    if len(line) > MAX_REASON:
        line = line[: MAX_REASON - 1].rstrip() + "…"
    return line.rstrip(".")


def _mask_if_random(match: re.Match[str]) -> str:
    token = match.group()
    return MASK if any(map(_looks_random, _SEPARATORS.split(token))) else token


def _looks_random(part: str) -> bool:
    if len(part) < _RANDOM_PART or not any(map(str.isdigit, part)):
        return False
    mixed = any(map(str.islower, part)) and any(map(str.isupper, part))
    return mixed or _UNBROKEN.search(part) is not None
