"""kill -9 of a service with a bot: what people in Telegram wrote is answered, each chat in order."""

import asyncio
from pathlib import Path

from tests.fakes.telegram import TOKEN, FakeTelegram
from tests.fakes.telegram_people import Person
from tests.service import Service

PEOPLE = 8
WORDS = 4


async def test_a_service_killed_amid_updates_answers_every_message_in_order(folder: Path) -> None:
    async with (
        FakeTelegram() as telegram,
        Service(folder, TELEGRAM_BOT_TOKEN=TOKEN, TELEGRAM_API_BASE=telegram.base_url) as service,
    ):
        people = [telegram.person(f"№ {number}", language="en") for number in range(PEOPLE)]
        talking = asyncio.create_task(talk(people))
        await telegram.wait_until(lambda: sum(len(each.texts) for each in people) >= PEOPLE, 30, "the first answers")
        await service.kill()
        await talking
        await service.start()
        for person in people:
            await person.reads_text(f"no model {WORDS - 1}", 60)
        for person in people:
            told = [text.partition(".")[0] for text in person.texts]
            assert list(dict.fromkeys(told)) == [f"There is no model {number}" for number in range(WORDS)]
            assert len(told) <= WORDS + 1, "at most the message that was under way came twice"


async def talk(people: list[Person]) -> None:
    for number in range(WORDS):
        for person in people:
            await person.writes(f"/model {number}")
            await asyncio.sleep(0.01)
