"""What counts as a wish for a person: the phenomena one by one, with their opposites beside them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telefonist.core.handoff_detection import BORDER, Dialogue, wants_person


def is_wish(text: str, context: Dialogue | None = None) -> bool:
    signal = wants_person(text, context) if context else wants_person(text)
    return signal.score > BORDER


@pytest.mark.parametrize(
    "text",
    [
        "оператор",
        "Соедините меня с оператором, пожалуйста",
        "позовите хоть кого-нибудь живого",
        "можно мне поговорить с человеком?",
        "Не могли бы вы попросить сотрудника мне перезвонить?",
        "я с ботом разговаривать не буду",
        "хватит шаблонов, дайте живого человека!!!",
        "нужен фармацевт, соедините",
        "real person please",
        "Could you put me through to somebody in billing?",
        "I refuse to talk to a machine",
        "no more bot. human.",
        "get me your supervisor right now",
        "i already asked for an agent twice",
    ],
)
def test_a_wish_is_noticed(text: str) -> None:
    assert is_wish(text)


@pytest.mark.parametrize(
    "text",
    [
        "jgthfnjh",  # the Latin layout on a Russian keyboard
        "gjpjdbnt xtkjdtrf",
        "щзукфещк",  # the Russian layout on a Latin keyboard
        "pozovite operatora pozhaluista",
        "nuzhen zhivoy chelovek",
        "опреатора дайте",
        "аператар нужен",
        "о п е р а т о р",
        "ч-е-л-о-в-е-к-а",
        "ЧЕ-ЛО-ВЕ-КА",
        "операаааторррр",
        "oпepaтop",  # Latin o, p, e, a among Cyrillic letters
        "hum\u200ban agent",  # a space of no width inside
        "0perator plz",
        "trasnfer me to a humna",
        "conect me too a represntative",
        "can i talk to оператор please",
        "нужен real person",
    ],
)
def test_a_wish_is_noticed_in_disguise(text: str) -> None:
    assert is_wish(text)


@pytest.mark.parametrize(
    "text",
    [
        "не надо оператора, просто скажите цену",
        "I don't need an agent, just the tracking number",
        "позови оператора. хотя нет, не надо",
        "вчера оператор сказал, что вернут деньги. когда?",
        "the agent told me to wait, how long?",
        "переведи на английский: «соедините меня с оператором»",
        "translate: call the operator",
        "операторы работают по выходным?",
        "how long is the wait for an agent usually?",
        "спасибо оператору Марине, всё решила",
        "приложение ужасное, вылетает",
        "are you a bot?",
        "ты бот?",
        "передайте водителю, что я выхожу",
        "как работает оператор LIKE в SQL",
        "какой мобильный оператор лучше ловит",
        "human rights",
        "npm package manager won't install",
        "где мой заказ?",
        "верните бота, он быстрее",
        "",
        "  \n ",
        "👍",
    ],
)
def test_a_word_alone_is_no_wish(text: str) -> None:
    assert not is_wish(text)


def test_a_wish_is_found_inside_a_long_message() -> None:
    story = "Заказал диван третьего числа, привезли две коробки из трёх, продавец кивает на доставку. " * 40
    assert not is_wish(story)
    assert is_wish(f"{story} Соедините меня с оператором, пожалуйста.")
    assert is_wish(f"Соедините меня с оператором, пожалуйста. {story}")
    assert is_wish(f"{story} Соедините меня с оператором, пожалуйста. {story}")


@pytest.mark.parametrize("text", ["да", "yes please", "ага, соединяйте", "давай", "sure", "+", "👍", "конечно"])
def test_yes_after_an_offer_is_a_wish(text: str) -> None:
    offered = wants_person(text, Dialogue(offered=True))
    assert (offered.score > BORDER, offered.reason) == (True, "offer_accepted")
    assert is_wish(text, Dialogue(answered="Не нашёл ответа. Соединить вас с оператором?"))
    assert is_wish(text, Dialogue(answered="I could not find it. Would you like to talk to a human?"))
    assert not is_wish(text)


@pytest.mark.parametrize("text", ["нет", "нет, спасибо", "no thanks", "не надо", "не сейчас", "лучше сам", "nope"])
def test_no_after_an_offer_is_no_wish(text: str) -> None:
    assert not is_wish(text, Dialogue(offered=True))


def test_an_offer_leaves_other_messages_as_they_are() -> None:
    question = "а сколько стоит доставка в Казань и как её оформить?"
    assert wants_person(question, Dialogue(offered=True)) == wants_person(question)


def test_a_reminder_is_a_wish_after_a_wish_and_only_then() -> None:
    asked = Dialogue(said=("позовите оператора",))
    for text in ("ну и где он?", "алло?", "hello?"):
        assert is_wish(text, asked)
        assert not is_wish(text)
    assert wants_person("ну и где он?", asked).reason == "asked_again"
    assert not is_wish("спасибо, нашёл", asked)


@pytest.mark.parametrize(
    "text",
    [
        "вызовите скорую, мама не дышит",
        "нужна скорая",
        "не хочу жить",
        "I want to kill myself",
        "please call an ambulance",
        "he's not breathing",
    ],
)
def test_an_emergency_wants_a_person(text: str) -> None:
    signal = wants_person(text)
    assert (signal.score > BORDER, signal.reason) == (True, "emergency")


@pytest.mark.parametrize(
    "text",
    [
        "входит ли скорая помощь в страховку?",
        "does the policy cover an ambulance?",
        "переведи на английский: вызовите скорую",
        "умираю от смеха",
        "your update killed my fps",
    ],
)
def test_an_emergency_as_a_topic_is_none(text: str) -> None:
    assert wants_person(text).reason != "emergency"


@given(st.text(max_size=300))
def test_any_text_gets_a_score_and_always_the_same(text: str) -> None:
    signal = wants_person(text)
    assert 0.0 <= signal.score <= 1.0
    assert signal.reason
    assert wants_person(text) == signal
