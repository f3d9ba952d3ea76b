"""Schemathesis asks every described path what its description allows, and what it does not: nothing answers 5xx."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.core.result import Ok

from tests.service import Service, home, run

PASSWORD = "correct horse battery"
EXPECTED_5XX = {502, 503}
"""What the failing demo model answers, and what a door says whose provider is not configured."""


@dataclass(frozen=True, slots=True)
class Described:
    """A running service, its description, and the headers of those who ask it."""

    url: str
    document: dict[str, object]
    callers: Mapping[str, Callable[[], Mapping[str, str]]]


@pytest.fixture
async def described() -> AsyncIterator[Described]:
    with home() as folder:
        limits = {f"TELEFONIST_{door}_RATE_LIMIT": "1000000/minute" for door in ("WEBHOOK", "API", "CHAT")}
        async with Service(folder, **limits) as service:
            made = await run(folder, "user", "create-admin", "admin@example.com", TELEFONIST_ADMIN_PASSWORD=PASSWORD)
            assert made.status == 0, made.errors
            await service.client.post("/auth/register", json={"email": "ann@example.com", "password": PASSWORD})
            url = str(service.client.base_url)

            def log_in(email: str) -> Mapping[str, str]:
                answer = httpx.post(f"{url}/auth/login", data={"username": email, "password": PASSWORD})
                return {"authorization": f"Bearer {answer.json()['access_token']}"}

            document = (await service.client.get("/openapi.json")).json()
            yield Described(
                url,
                document,
                {
                    "nobody": dict,
                    "a client": lambda: log_in("ann@example.com"),
                    "an administrator": lambda: log_in("admin@example.com"),
                },
            )


def ask_everything(described: Described, examples: int) -> int:
    """Ask every operation, as everybody; gives the number of questions."""
    schema = schemathesis.openapi.from_dict(described.document)
    asked = 0
    for result in schema.get_all_operations():
        assert isinstance(result, Ok)
        operation = result.ok()
        for name, headers_of in described.callers.items():
            if operation.path in ("/auth/password", "/auth/logout") and name != "nobody":
                continue  # or nobody could log in afterwards
            asked += _ask(operation, described.url, dict(headers_of()), name, examples)
    return asked


def _ask(operation: Any, url: str, headers: dict[str, str], name: str, examples: int) -> int:
    cases = st.one_of(
        operation.as_strategy(generation_mode=GenerationMode.POSITIVE),
        operation.as_strategy(generation_mode=GenerationMode.NEGATIVE),
    )
    asked = 0

    @settings(
        max_examples=examples,
        database=None,
        deadline=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=cases)
    def ask(case: schemathesis.Case[Any]) -> None:
        nonlocal asked
        asked += 1
        response = case.call(base_url=url, headers=headers, timeout=20)
        assert response.status_code < 500 or response.status_code in EXPECTED_5XX, (
            f"{name}: {case.as_curl_command()}\n{response.status_code} {response.text}"
        )

    ask()
    return asked


async def test_no_described_path_answers_with_a_failure_of_ours(described: Described) -> None:
    assert await asyncio.to_thread(ask_everything, described, 4) > 300


@pytest.mark.deep
@pytest.mark.timeout(1500)
async def test_no_described_path_answers_with_a_failure_of_ours_to_thousands_of_questions(
    described: Described,
) -> None:
    assert await asyncio.to_thread(ask_everything, described, 110) > 10_000
