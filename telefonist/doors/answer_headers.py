"""What a caller is told beside an answer."""

from math import ceil

from telefonist.core.admission import Admission
from telefonist.types import Model


def answer_headers(admission: Admission, asked: Model, served_by: Model) -> dict[str, str]:
    """Say what is left of the limits, as OpenAI does, and which model answered in place of the one asked for."""
    headers: dict[str, str] = {}
    for what, outcome in (("requests", admission.requests), ("tokens", admission.tokens)):
        if outcome is not None:
            headers[f"x-ratelimit-limit-{what}"] = str(outcome.limit)
            headers[f"x-ratelimit-remaining-{what}"] = str(max(0, outcome.remaining))
            headers[f"x-ratelimit-reset-{what}"] = f"{ceil(outcome.reset_after)}s"
    if served_by.name != asked.name:
        headers["x-telefonist-served-by"] = served_by.name
    return headers
