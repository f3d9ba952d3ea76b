"""Usage by day and model as JSON or CSV, as users see their own and administrators everybody's."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Annotated, Any, Literal

from fastapi import Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from telefonist.doors.credits import Credits, json_response
from telefonist.errors import FieldProblem, InvalidInput
from telefonist.types import UsageRow, format_credits, utc_now

LONGEST = 366
"""Days in one report."""

USUAL = 30
"""Days in a report for which no beginning is asked."""

EARLIEST, LATEST = date(2000, 1, 1), date(9000, 1, 1)

COLUMNS = ("day", "model", "generations", "prompt_tokens", "completion_tokens", "cached_tokens", "charge")

FORMULAS = ("=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠")
"""What a spreadsheet takes for the beginning of a formula (OWASP, CSV Injection)."""

First = Annotated[
    date | None, Query(alias="from", description="The first day (UTC); 30 days with the last where left out.")
]
Last = Annotated[date | None, Query(alias="to", description="The last day (UTC), which counts too; today.")]
Format = Annotated[
    Literal["json", "csv"] | None, Query(alias="format", description="Stands above what the Accept header asks for.")
]


@dataclass(frozen=True, slots=True)
class Period:
    """The days of a report, both ends included."""

    first: date
    last: date


class UsageLine(BaseModel):
    """What was used of one model on one day."""

    model_config = ConfigDict(from_attributes=True)

    day: date
    model: str = Field(examples=["demo"])
    generations: int
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int = Field(description="Of the prompt tokens, what the provider had in its cache.")
    charge: Credits


class UsageDocument(BaseModel):
    """Usage by day and model; a day without generations has no line."""

    model_config = ConfigDict(serialize_by_alias=True)

    first: date = Field(serialization_alias="from")
    last: date = Field(serialization_alias="to")
    usage: list[UsageLine]


def period(first: date | None, last: date | None) -> Period:
    """Complete what was asked for; raises InvalidInput for days in the wrong order, or too many of them."""
    last = _within("to", last or utc_now().date())
    first = _within("from", first or max(last - timedelta(days=USUAL - 1), EARLIEST))
    if first > last:
        raise _wrong("from", "date_order", f"Give a day that is not after 'to' ({last}).", first)
    if (last - first).days >= LONGEST:
        latest = first + timedelta(days=LONGEST - 1)
        raise _wrong("to", "period_too_long", f"Ask for {LONGEST} days at most: up to {latest} from {first}.", last)
    return Period(first, last)


def usage_response(request: Request, days: Period, rows: Sequence[UsageRow], wanted: str | None) -> Response:
    """Answer in the format that was asked for by name, else by the Accept header (RFC 9110, section 12.5.1)."""
    if (wanted or _accepted(request.headers.get("accept", ""))) == "csv":
        name = f"usage-{days.first}-{days.last}.csv"
        headers = {"content-disposition": f'attachment; filename="{name}"', "vary": "accept"}
        return Response(_csv(rows), headers=headers, media_type="text/csv")
    lines = [UsageLine.model_validate(row) for row in rows]
    response = json_response(UsageDocument(first=days.first, last=days.last, usage=lines))
    response.headers["vary"] = "accept"
    return response


def _csv(rows: Sequence[UsageRow]) -> str:
    """Write the rows as RFC 4180 has it, with no cell that a spreadsheet would run."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    for row in rows:
        amounts = (row.generations, row.prompt_tokens, row.completion_tokens, row.cached_tokens)
        writer.writerow((row.day, _harmless(row.model), *amounts, format_credits(row.charge)))
    return text.getvalue()


def _harmless(text: str) -> str:
    return f"'{text}" if text.startswith(FORMULAS) else text


def _accepted(accept: str) -> Literal["json", "csv"]:
    csv_quality = json_quality = 0.0
    for item in accept.split(","):
        media_type, *parameters = (part.strip().lower() for part in item.split(";"))
        quality = _quality(parameters)
        if media_type == "text/csv":
            csv_quality = quality
        elif media_type == "application/json":
            json_quality = quality
    return "csv" if csv_quality > json_quality else "json"


def _quality(parameters: Sequence[str]) -> float:
    for parameter in parameters:
        if parameter.startswith("q="):
            try:
                return float(parameter.removeprefix("q="))
            except ValueError:
                return 0.0
    return 1.0


def _within(name: str, day: date) -> date:
    if not EARLIEST <= day <= LATEST:
        raise _wrong(name, "date_range", f"Give a day between {EARLIEST} and {LATEST}.", day)
    return day


def _wrong(name: str, kind: str, text: str, given: date) -> InvalidInput:
    return InvalidInput([FieldProblem(kind, ("query", name), text, given.isoformat())])


WRONG_PERIOD = _wrong("from", "date_order", "Give a day that is not after 'to' (2026-11-20).", date(2026, 11, 21))
"""For the description of the API."""

USAGE_RESPONSE: dict[int | str, dict[str, Any]] = {
    200: {
        "model": UsageDocument,
        "description": "Usage by day and model",
        "content": {
            "application/json": {
                "example": {
                    "from": "2026-11-01",
                    "to": "2026-11-30",
                    "usage": [
                        {
                            "day": "2026-11-20",
                            "model": "demo",
                            "generations": 2,
                            "prompt_tokens": 120,
                            "completion_tokens": 48,
                            "cached_tokens": 0,
                            "charge": 0.000136,
                        }
                    ],
                }
            },
            "text/csv": {
                "schema": {"type": "string"},
                "example": f"{','.join(COLUMNS)}\r\n2026-11-20,demo,2,120,48,0,0.000136\r\n",
            },
        },
    }
}
