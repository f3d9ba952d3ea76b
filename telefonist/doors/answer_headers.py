"""What a caller is told beside an answer."""

from collections.abc import Mapping
from math import ceil

from telefonist.core.admission import Admission
from telefonist.memory.base import LimitOutcome
from telefonist.types import Model


def answer_headers(admission: Admission, asked: Model, served_by: Model) -> dict[str, str]:
    """Say what is left of the limits, as OpenAI does, and which model answered in place of the one asked for."""
    headers = limit_headers({"requests": admission.requests, "tokens": admission.tokens})
    if served_by.name != asked.name:
        headers["x-telefonist-served-by"] = served_by.name
    return headers


def limit_headers(limits: Mapping[str, LimitOutcome | None]) -> dict[str, str]:
    """Say what is left of limits, as OpenAI does with answers and refusals alike."""
    headers: dict[str, str] = {}
    for what, outcome in limits.items():
        if outcome is not None:
            headers[f"x-ratelimit-limit-{what}"] = str(outcome.limit)
            headers[f"x-ratelimit-remaining-{what}"] = str(max(0, outcome.remaining))
            headers[f"x-ratelimit-reset-{what}"] = f"{ceil(outcome.reset_after)}s"
    return headers
