"""The built-in model: answers offline, in the person's language, from what the conversation says."""

import asyncio
import re
import time

import pytest

from telefonist.errors import ProviderFailed, ProviderRejectedRequest
from telefonist.providers.demo import DemoProvider
from telefonist.providers.demo_replies import reply
from telefonist.types import ChatRequest, ProviderConfig, Usage, estimate_tokens
from tests.providers.asking import conversation, stream, text_of


@pytest.fixture
def demo() -> DemoProvider:
    return DemoProvider(ProviderConfig("demo", "demo"), slow_seconds=0.05)


def asking(model: str, *texts: str) -> ChatRequest:
    return ChatRequest(model, conversation(*texts))


@pytest.mark.parametrize(
    "told",
    [
        "Запомни слово: маяк",
        "Привет! Запомни слово: маяк",
        "запомни слово маяк",
        "Запомни, пожалуйста, слово «маяк».",
        "запомните слово - маяк",
        "Запомни, что кодовое слово — маяк",
        "Можешь запомнить слово маяк?",
        "прошу запомнить: маяк",
        "Слово — маяк. Запомни его.",
        "Кодовое слово маяк, запомни",
        "Запомни это слово: маяк! Потом спрошу.",
        "запомни:\nмаяк",
        "Не забудь слово маяк",
    ],
)
@pytest.mark.parametrize(
    "asked",
    [
        "какое слово я просил запомнить?",
        "какое слово я просила тебя запомнить",
        "Какое слово?",
        "что я просил запомнить?",
        "Напомни слово",
        "Помнишь слово?",
        "А какое слово ты запомнил?",
        "Скажи слово, которое я просил запомнить",
        "Спасибо! Какое слово нужно было запомнить?",
    ],
)
def test_a_word_is_remembered_however_it_is_told_and_asked_for_in_russian(told: str, asked: str) -> None:
    answer = reply(conversation(told, "Как дела?", "Почему небо голубое?", asked))
    assert "маяк" in answer
    assert "просили запомнить" in answer


@pytest.mark.parametrize(
    "told",
    [
        "Remember the word: lighthouse",
        "please remember the word lighthouse.",
        "Remember this word - lighthouse",
        "Can you remember the word lighthouse for me?",
        "Hi! Please remember that the word is lighthouse",
        "The secret word is lighthouse. Remember it.",
        "I want you to remember: lighthouse",
        'Remember the code word "lighthouse", I\'ll ask later',
        "Don't forget the word lighthouse",
        "Keep in mind the word lighthouse",
    ],
)
@pytest.mark.parametrize(
    "asked",
    [
        "what word did I ask you to remember?",
        "What was the word?",
        "Do you remember the word?",
        "which word should you remember",
        "Tell me the word I asked you to remember.",
        "I asked you to remember a word. Which one?",
        "What did I tell you to remember?",
        "Remind me of the word, please",
    ],
)
def test_a_word_is_remembered_however_it_is_told_and_asked_for_in_english(told: str, asked: str) -> None:
    answer = reply(conversation(told, "How are you?", "Why is the sky blue?", asked))
    assert "lighthouse" in answer
    assert "asked me to remember" in answer


@pytest.mark.parametrize(
    ("told", "asked", "name"),
    [
        ("меня зовут Аня", "как меня зовут?", "Аня"),
        ("Привет, меня зовут Анна Петрова!", "Ты помнишь, как меня зовут?", "Анна Петрова"),
        ("Моё имя — Олег", "Какое моё имя?", "Олег"),
        ("My name is Ann", "what is my name?", "Ann"),
        ("Hi, I'm Ann.", "Who am I?", "Ann"),
        ("call me Ishmael", "Do you know my name?", "Ishmael"),
        ("my name is Ann", "как меня зовут?", "Ann"),
    ],
)
def test_a_name_is_remembered(told: str, asked: str, name: str) -> None:
    assert name in reply(conversation(told))
    answer = reply(conversation(told, "Hm", asked))
    assert re.search(rf"(?:Вас зовут|Your name is) {name}\.", answer)


@pytest.mark.parametrize(
    ("told", "asked", "expected", "unexpected"),
    [
        (["Запомни слово: маяк", "Запомни число: 42"], "какое число я просил запомнить?", "42", "маяк"),
        (["Запомни слово: маяк", "Запомни число: 42"], "что я просил запомнить?", "маяк", None),
        (["Запомни слово: маяк", "Запомни слово: кит"], "какое слово я просил запомнить?", "кит", "маяк"),
        (["Запомни, что у меня есть кот Барсик"], "Как зовут моего кота?", "Барсик", None),
        (["Remember that my cat is called Tom", "Remember the word whale"], "What is my cat called?", "Tom", "whale"),
        (["Keep in mind that the meeting is at 15:30."], "When is the meeting?", "15:30", None),
        (["Запомни ссылку: https://example.com/a"], "Напомни ссылку", "https://example.com/a", None),
        (["Меня зовут Аня", "Запомни слово: маяк"], "что я просил запомнить?", "маяк", "Аня"),
    ],
)
def test_of_several_facts_the_one_asked_for_is_given(
    told: list[str], asked: str, expected: str, unexpected: str | None
) -> None:
    answer = reply(conversation(*told, asked))
    assert expected in answer
    assert unexpected is None or unexpected not in answer


@pytest.mark.parametrize(
    ("asked", "answer"),
    [
        ("какое слово я просил запомнить?", "ещё не просили"),
        ("What word did I ask you to remember?", "have not asked me"),
        ("как меня зовут?", "не называли"),
        ("what is my name?", "have not told me"),
    ],
)
def test_what_was_never_told_is_not_made_up(asked: str, answer: str) -> None:
    assert answer in reply(conversation("Hello", asked))


def test_a_word_may_be_told_and_asked_for_in_one_message() -> None:
    assert "маяк" in reply(conversation("Запомни слово: маяк. Какое слово я просил запомнить?"))


def test_only_what_a_person_said_is_remembered() -> None:
    messages = [
        {"role": "system", "content": "Remember the word: hidden. My name is Hidden."},
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": "Remember the word: hidden."},
        {"role": "user", "content": "What word did I ask you to remember? What is my name?"},
    ]
    assert "hidden" not in reply(messages).lower()
    assert "hidden" not in reply([*messages, {"role": "user", "content": "What can you do?"}]).lower()


@pytest.mark.parametrize(
    ("said", "answer"),
    [
        ("Привет", "Здравствуйте"),
        ("Good morning!", "Hello"),
        ("спасибо!", "Пожалуйста"),
        ("Thank you", "You are welcome"),
        ("что ты умеешь?", "OPENROUTER_API_KEY"),
        ("What can you do?", "OPENAI_API_KEY"),
        ("Как дела?", "линия свободна"),
        ("bye", "Goodbye"),
        ("2+2", "2+2 = 4"),
        ("сколько будет 12 * 7?", "12 * 7 = 84"),
        ("What is 10 / 4?", "10 / 4 = 2.5"),
        ("0,1 + 0,2", "= 0.3"),
        ("-(1 + 2) × 3", "= -9"),
        ("5/0", "no dividing by zero"),
        ("", "no text"),
    ],
)
def test_small_talk_gets_a_fitting_answer(said: str, answer: str) -> None:
    assert answer in reply(conversation(said))


@pytest.mark.parametrize("said", ["+7 900 123-45-67", "2026-08-01", "42", "((((", "9**9", "1 2", "{echo}", "%s"])
def test_what_is_no_sum_is_answered_like_anything_else(said: str) -> None:
    assert f"“{said}”" in reply(conversation(said))


def test_any_other_message_shows_that_it_was_understood_and_how_to_get_a_real_model() -> None:
    first = reply(conversation("Почему небо голубое?"))
    assert "«Почему небо голубое?»" in first
    assert "OPENAI_API_KEY или OPENROUTER_API_KEY" in first
    third = reply(conversation("Why is the sky blue?", "And the grass?", "And\nthe   sea?"))
    assert "“And the sea?”" in third
    assert "3 messages" in third
    assert "“And the grass?”" in third


def test_earlier_messages_can_be_asked_for() -> None:
    assert "Почему небо голубое?" in reply(conversation("Почему небо голубое?", "О чём мы говорили?"))
    assert "Why is the sky blue?" in reply(conversation("Why is the sky blue?", "What did I say?"))


def test_a_long_message_is_not_echoed_whole() -> None:
    assert len(reply(conversation("word " * 10_000))) < 700


def test_a_message_without_letters_is_answered_in_the_language_of_the_conversation() -> None:
    assert "Получается" in reply(conversation("Привет", "2+2"))


def test_content_in_parts_is_read() -> None:
    parts = [{"type": "text", "text": "My name is Ann"}, {"type": "image_url", "image_url": {"url": "x"}}]
    assert "Ann" in reply([{"role": "user", "content": parts}])
    assert "no text" in reply([{"role": "user", "content": parts[1:]}])
    assert reply([])


@pytest.mark.parametrize(
    ("start", "piece"),
    [
        ("", "."),
        ("", ": \n"),
        ("", "запомни "),
        ("1", " "),
        ("", "("),
        ("", "a - "),
        ("", "?!… "),
        ("remember x", " ,"),
    ],
)
def test_a_hostile_message_does_not_hold_the_process_up(start: str, piece: str) -> None:
    messages = conversation(*[start + piece * (20_000 // len(piece)) + "y"] * 20)
    started = time.process_time()
    reply(messages)
    assert time.process_time() - started < 0.5


async def test_a_whole_answer_comes_at_once_with_its_usage(demo: DemoProvider) -> None:
    request = asking("demo", "Привет")
    completion = await demo.complete(request)
    assert completion.text == reply(request.messages)
    assert completion.usage == Usage(
        estimate_tokens("You are a helpful assistant.") + estimate_tokens("Привет") + 2 * 4 + 3,
        estimate_tokens(completion.text),
    )
    assert completion.body["object"] == "chat.completion"
    assert completion.body["choices"][0]["message"]["content"] == completion.text
    assert completion.body["usage"]["total_tokens"] == completion.usage.total_tokens


@pytest.mark.parametrize("model", ["demo", "demo-slow"])
async def test_a_streamed_answer_comes_word_by_word_with_the_same_text(demo: DemoProvider, model: str) -> None:
    request = asking(model, "Запомни слово: маяк", "Какое слово я просил запомнить?")
    deltas = await stream(demo, request)
    assert text_of(deltas) == (await demo.complete(asking("demo", "Запомни слово: маяк", "Какое слово?"))).text
    assert [delta.text for delta in deltas[:3]] == ["", "Вы ", "просили "]
    assert deltas[-2].finish_reason == "stop"
    assert deltas[-1].chunk["choices"] == []
    assert deltas[-1].usage is not None
    assert deltas[-1].usage.completion_tokens == estimate_tokens(text_of(deltas))
    assert {delta.chunk["object"] for delta in deltas} == {"chat.completion.chunk"}
    assert len({delta.chunk["id"] for delta in deltas}) == 1


async def test_the_slow_model_takes_its_time_steadily(demo: DemoProvider) -> None:
    loop = asyncio.get_running_loop()
    started = loop.time()
    moments = [loop.time() - started async for batch in demo.stream(asking("demo-slow", "Привет")) if text_of(batch)]
    assert moments[-1] >= 0.045
    assert moments[len(moments) // 2] < moments[-1]
    started = loop.time()
    await demo.complete(asking("demo-slow", "Привет"))
    assert loop.time() - started >= 0.045


async def test_the_failing_model_always_fails(demo: DemoProvider) -> None:
    with pytest.raises(ProviderFailed) as plain:
        await demo.complete(asking("demo-failing", "Hi"))
    assert plain.value.values["status"] == 500
    with pytest.raises(ProviderFailed):
        await stream(demo, asking("demo-failing", "Hi"))


async def test_there_are_no_other_demo_models(demo: DemoProvider) -> None:
    with pytest.raises(ProviderRejectedRequest, match="demo-quick"):
        await demo.complete(asking("demo-quick", "Hi"))
