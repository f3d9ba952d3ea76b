"""What an account sees of its own money: exact amounts, whole pages, reports that open in a spreadsheet."""

import csv
import io
from collections.abc import AsyncIterator
from datetime import date, timedelta
from typing import Any

import httpx
import pytest

from telefonist.storage.database import Database
from telefonist.types import new_id, utc_now
from tests.doors.conftest import Serve
from tests.doors.office import Office, address


@pytest.fixture
async def office(database: Database, serve: Serve) -> AsyncIterator[Office]:
    async with httpx.AsyncClient(base_url=await address(serve, database)) as client:
        yield Office(database, client)


def problem(response: httpx.Response) -> dict[str, Any]:
    assert response.status_code == 422, response.text
    (detail,) = response.json()["detail"]
    assert isinstance(detail, dict)
    return detail


PATHS = ("/me/balance", "/me/ledger", "/me/usage")


async def test_an_anonymous_caller_has_no_money_and_is_told_so(office: Office) -> None:
    for path in PATHS:
        response = await office.client.get(path)
        assert response.status_code == 401, path
        assert response.json()["code"] == "account_needed"
        assert response.headers["www-authenticate"] == "Bearer"


async def test_a_key_may_ask_what_its_account_has(office: Office) -> None:
    anna = await office.person()
    key = await office.key(anna)
    for path in PATHS:
        assert (await office.client.get(path, headers=key)).status_code == 200, path
        assert (await office.client.get(path, headers=anna.headers)).status_code == 200, path


async def test_a_wrong_key_is_refused_before_a_wrong_question_is(office: Office) -> None:
    response = await office.client.get("/me/ledger?limit=0", headers={"authorization": "Bearer tf-nonsense"})
    assert response.status_code == 401


async def test_a_balance_is_exact_to_the_last_digit(office: Office) -> None:
    expected = {
        0: b'{"balance":0,"held":0,"available":0}',
        300_000: b'{"balance":0.3,"held":0,"available":0.3}',
        -1: b'{"balance":-0.000001,"held":0,"available":-0.000001}',
        10**18 - 1: b'{"balance":999999999999.999999,"held":0,"available":999999999999.999999}',
    }
    for microcredits, written in expected.items():
        anna = await office.person(f"anna{microcredits}@example.com")
        if microcredits:
            await office.ledger.change(anna.id, microcredits, "a gift", None, None)
        assert (await office.client.get("/me/balance", headers=anna.headers)).content == written


async def test_a_tenth_and_two_tenths_make_three_tenths(office: Office) -> None:
    anna = await office.person()
    for amount in (100_000, 200_000):
        await office.ledger.change(anna.id, amount, "a gift", None, None)
    response = await office.client.get("/me/ledger", headers=anna.headers)
    assert [(entry["amount"], entry["balance"]) for entry in response.json()["entries"]] == [(0.2, 0.3), (0.1, 0.1)]
    assert b"0.30000" not in response.content


async def test_the_ledger_is_read_page_by_page_while_it_grows(office: Office) -> None:
    anna = await office.person()
    for amount in range(1, 8):
        await office.ledger.change(anna.id, amount, "before", None, None)
    numbers, cursor = [], ""
    while True:
        response = await office.client.get(f"/me/ledger?limit=2{cursor}", headers=anna.headers)
        page = response.json()
        numbers += [entry["number"] for entry in page["entries"]]
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
        await office.ledger.change(anna.id, 1, "meanwhile", None, None)
    assert numbers == [7, 6, 5, 4, 3, 2, 1]


async def test_an_entry_says_what_it_is_and_where_it_comes_from(office: Office) -> None:
    anna = await office.person()
    entry = await office.ledger.change(anna.id, 2_500_000, "Счёт №7", None, None)
    (shown,) = (await office.client.get("/me/ledger", headers=anna.headers)).json()["entries"]
    assert shown == {
        "id": str(entry.id),
        "number": 1,
        "kind": "top_up",
        "amount": 2.5,
        "balance": 2.5,
        "generation_id": None,
        "model": None,
        "reason": "Счёт №7",
        "created_at": entry.created_at.isoformat().replace("+00:00", "Z"),
    }


async def test_nobody_sees_what_is_anothers(office: Office) -> None:
    anna, boris = await office.person(), await office.person("boris@example.com")
    await office.ledger.change(anna.id, 1, "a gift", None, None)
    await office.generated(anna.id)
    assert (await office.client.get("/me/balance", headers=boris.headers)).json()["balance"] == 0
    assert (await office.client.get("/me/ledger", headers=boris.headers)).json()["entries"] == []
    assert (await office.client.get("/me/usage", headers=boris.headers)).json()["usage"] == []


async def test_a_page_that_cannot_be_is_refused_by_the_name_of_the_field(office: Office) -> None:
    anna = await office.person()
    for query in ("cursor=0", f"cursor={2**63}", "cursor=x", "limit=0", "limit=201"):
        response = await office.client.get(f"/me/ledger?{query}", headers=anna.headers)
        assert problem(response)["loc"] == ["query", query.partition("=")[0]], query


async def test_usage_shows_each_model_of_each_day(office: Office) -> None:
    anna = await office.person()
    for model in ("demo", "demo", "vendor/model:free"):
        await office.generated(anna.id, model)
    today = utc_now().date()
    response = await office.client.get(f"/me/usage?from={today}&to={today}", headers=anna.headers)
    assert response.headers["content-type"] == "application/json"
    assert response.json() == {
        "from": str(today),
        "to": str(today),
        "usage": [
            {
                "day": str(today),
                "model": model,
                "generations": count,
                "prompt_tokens": 10 * count,
                "completion_tokens": 20 * count,
                "cached_tokens": 3 * count,
                "charge": charge,
            }
            for model, count, charge in (("demo", 2, 0.6), ("vendor/model:free", 1, 0.3))
        ],
    }


async def test_without_days_usage_is_that_of_thirty_to_today(office: Office) -> None:
    anna = await office.person()
    shown = (await office.client.get("/me/usage", headers=anna.headers)).json()
    assert date.fromisoformat(shown["to"]) - date.fromisoformat(shown["from"]) == timedelta(days=29)
    shown = (await office.client.get("/me/usage?to=2026-03-31", headers=anna.headers)).json()
    assert (shown["from"], shown["to"]) == ("2026-03-02", "2026-03-31")


WRONG_DAYS = [
    ("from=2026-03-02&to=2026-03-01", "from", "not after 'to' (2026-03-01)"),
    ("from=2025-01-01&to=2026-01-02", "to", "366 days at most: up to 2026-01-01"),
    ("from=1999-12-31&to=2000-01-01", "from", "between 2000-01-01 and"),
    ("to=0001-01-01", "to", "between 2000-01-01 and"),
    ("from=9999-12-31", "from", "between 2000-01-01 and"),
    ("from=yesterday", "from", "valid date"),
    ("format=pdf", "format", "'json' or 'csv'"),
]


async def test_days_that_cannot_be_are_refused_with_the_fix(office: Office) -> None:
    anna = await office.person()
    for query, field, fix in WRONG_DAYS:
        found = problem(await office.client.get(f"/me/usage?{query}", headers=anna.headers))
        assert found["loc"] == ["query", field], query
        assert fix in found["msg"]


async def test_a_whole_leap_year_fits_into_one_report(office: Office) -> None:
    anna = await office.person()
    response = await office.client.get("/me/usage?from=2024-01-01&to=2024-12-31", headers=anna.headers)
    assert response.status_code == 200


FORMATS = [
    ("", None, "application/json"),
    ("", "*/*", "application/json"),
    ("", "text/csv", "text/csv; charset=utf-8"),
    ("", "text/csv;q=0.9, application/json;q=0.5", "text/csv; charset=utf-8"),
    ("", "application/json, text/csv;q=0.9", "application/json"),
    ("", "text/csv;q=0", "application/json"),
    ("", "text/csv;q=nonsense", "application/json"),
    ("?format=csv", "application/json", "text/csv; charset=utf-8"),
    ("?format=json", "text/csv", "application/json"),
]


async def test_the_format_is_the_one_that_is_asked_for(office: Office) -> None:
    anna = await office.person()
    for query, accept, kind in FORMATS:
        headers = anna.headers | ({"accept": accept} if accept else {})
        response = await office.client.get(f"/me/usage{query}", headers=headers)
        assert response.headers["content-type"] == kind, (query, accept)
        assert response.headers["vary"] == "accept"


async def test_a_csv_report_opens_as_a_table_and_is_saved_under_a_name_of_its_own(office: Office) -> None:
    anna = await office.person()
    await office.generated(anna.id, 'with "quotes", and a comma', charge=1)
    await office.generated(anna.id, "модель")
    today = utc_now().date()
    response = await office.client.get("/me/usage?format=csv", headers=anna.headers)
    first = today - timedelta(days=29)
    assert response.headers["content-disposition"] == f'attachment; filename="usage-{first}-{today}.csv"'
    assert response.content.endswith(b"\r\n")
    rows = list(csv.DictReader(io.StringIO(response.content.decode(), newline=""), strict=True))
    assert [(row["model"], row["charge"]) for row in rows] == [
        ('with "quotes", and a comma', "0.000001"),
        ("модель", "0.3"),
    ]
    assert rows[0] == {
        "day": str(today),
        "model": 'with "quotes", and a comma',
        "generations": "1",
        "prompt_tokens": "10",
        "completion_tokens": "20",
        "cached_tokens": "3",
        "charge": "0.000001",
    }


async def test_a_spreadsheet_runs_nothing_that_a_model_is_called(office: Office) -> None:
    anna = await office.person()
    names = {"=HYPERLINK(1)", "+1", "-1", "@SUM(A1)", "＝1"}
    for name in names:
        await office.generated(anna.id, name)
    response = await office.client.get("/me/usage?format=csv", headers=anna.headers)
    _, *rows = csv.reader(io.StringIO(response.text, newline=""))
    assert {row[1] for row in rows} == {f"'{name}" for name in names}


async def test_a_cursor_of_another_account_shows_nothing_of_it(office: Office) -> None:
    anna, boris = await office.person(), await office.person("boris@example.com")
    for _ in range(3):
        await office.ledger.change(anna.id, 1, "a gift", None, None)
    assert (await office.client.get("/me/ledger?cursor=3", headers=boris.headers)).json()["entries"] == []
    assert (await office.client.get(f"/me/ledger?cursor={new_id()}", headers=boris.headers)).status_code == 422
