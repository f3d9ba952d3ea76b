"""The plain chat doors where GigaChat is set up: each serves its own models, and no others."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.doors.conftest import Serve
from tests.doors.exchange import MODELS, Exchange, open_exchange
from tests.fakes.gigachat import FakeGigaChat, answer, refuse
from tests.fakes.openai_upstream import FakeOpenAI
from tests.fakes.private_ca import PrivateCA

SYSTEM = {"role": "system", "content": "Ты заботливый ассистент и хочешь помочь пользователю решить его проблему"}
QUESTION = {"role": "user", "content": "Привет!"}
ANSWER = {"role": "assistant", "content": "Привет! Чем я могу тебе помочь?"}
ASKED = {"model": "GigaChat:latest", "messages": [QUESTION]}
PRICE = "[[models]]\nname = 'GigaChat:latest'\ncredits_per_1k_input = 100\ncredits_per_1k_output = 100"


@pytest.fixture
async def gigachat(tmp_path: Path) -> AsyncIterator[FakeGigaChat]:
    async with FakeGigaChat(PrivateCA(tmp_path).server) as gigachat:
        gigachat.api.default = answer(ANSWER["content"])
        yield gigachat


@pytest.fixture
async def exchange(serve: Serve, dsn: str, tmp_path: Path, gigachat: FakeGigaChat) -> AsyncIterator[Exchange]:
    environ = {
        "AUTH_CREDENTIALS": gigachat.tokens.credentials,
        "URL_GIGACHAT": f"{gigachat.api.address}/api/v1/chat/completions",
        "AUTH_URL": f"{gigachat.tokens.address}/api/v2/oauth",
        "GIGACHAT_CA_BUNDLE": "root-ca.pem",
    }
    async with (
        FakeOpenAI() as upstream,
        open_exchange(serve, dsn, tmp_path, upstream, models=MODELS + PRICE, **environ) as exchange,
    ):
        yield exchange


@pytest.mark.parametrize("path", ["/gigachat/", "/gigachat"])
async def test_the_conversation_comes_back_with_the_system_prompt_before_and_the_answer_behind(
    exchange: Exchange, gigachat: FakeGigaChat, path: str
) -> None:
    user = await exchange.user()
    response = await exchange.client.post(path, json=ASKED, headers=user.headers)
    assert response.status_code == 200
    assert response.json() == {"model": "GigaChat:latest", "messages": [SYSTEM, QUESTION, ANSWER]}
    sent = gigachat.api.requests[0].json
    assert (sent["model"], sent["messages"]) == ("GigaChat:latest", [SYSTEM, QUESTION])
    (generation,) = await user.settled()
    assert (generation["door"], generation["model"]) == ("chat", "GigaChat:latest")
    assert generation["charge"] > 0


async def test_each_door_serves_its_own_models_only(exchange: Exchange, gigachat: FakeGigaChat) -> None:
    theirs = await exchange.client.post("/chatgpt/", json=ASKED)
    assert (theirs.status_code, theirs.json()["code"]) == (404, "model_not_found")
    assert "GigaChat" not in theirs.json()["detail"].partition("Known models:")[2]
    for model in ("gpt-4", "demo", "GigaChat-9"):
        refused = await exchange.client.post("/gigachat/", json={**ASKED, "model": model})
        assert (refused.status_code, refused.json()["code"]) == (404, "model_not_found")
        assert "GigaChat:latest, GigaChat, GigaChat-2" in refused.json()["detail"]
    assert gigachat.api.requests == exchange.upstream.requests == []


@pytest.mark.parametrize("status", [401, 402, 500])
async def test_what_goes_wrong_between_us_and_gigachat_is_a_502_with_its_reason(
    exchange: Exchange, gigachat: FakeGigaChat, status: int
) -> None:
    gigachat.api.default = refuse(status, "No more tokens")
    user = await exchange.user()
    refused = await exchange.client.post("/gigachat/", json=ASKED, headers=user.headers)
    assert refused.status_code == 502
    assert "No more tokens" in refused.json()["detail"]
    assert (await user.settled())[0]["charge"] == 0
