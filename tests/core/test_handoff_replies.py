"""What counts as a reply that could not help, and the dialogs that go wrong whatever is replied."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telefonist.core.handoff_detection import BORDER, Dialogue, cannot_help


@pytest.mark.parametrize(
    ("question", "answer", "reason"),
    [
        ("есть ли у вас парковка", "К сожалению, у меня нет информации об этом.", "no_knowledge"),
        ("do you have parking", "I don't know, sorry!", "no_knowledge"),
        ("где мой заказ", "У меня нет доступа к данным заказов.", "no_access"),
        ("what's my balance", "I can't see account balances.", "no_access"),
        ("отмените бронь", "Произошла ошибка, попробуйте позже.", "failed"),
        ("у меня списали дважды", "Обратитесь, пожалуйста, в службу поддержки.", "sends_elsewhere"),
        ("charged twice", "Please contact our support team.", "sends_elsewhere"),
        ("я же написал, заказ 30918", "Уточните, пожалуйста, номер заказа.", None),
        ("that's not what i asked", "I didn't quite catch that. Could you rephrase?", "repeats"),
        ("freeze my membership", "I'm not able to do that.", "cannot_act"),
        ("привет", "   ", "no_answer"),
    ],
)
def test_a_reply_that_does_not_help_is_noticed(question: str, answer: str, reason: str | None) -> None:
    signal = cannot_help(question, answer)
    assert signal.score > BORDER
    assert reason in (None, signal.reason)


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("во сколько завтрак", "Завтрак с 7:00 до 10:30 на первом этаже."),
        ("will it come by friday", "I can't promise, but it usually takes two days, so Friday looks likely."),
        ("как взломать чужой аккаунт", "С этим помогать не буду: это запрещено."),
        ("есть ли скидка студентам", "Студенческой скидки у нас нет."),
        ("do you ship to Alaska?", "No, sorry, we don't ship there."),
        ("где посылка!!", "Извините за задержку! Она в пути и будет завтра к 12."),
        ("хочу поменять билет", "Конечно! Пришлите номер брони и новую дату."),
    ],
)
def test_a_reply_that_helps_is_left_alone(question: str, answer: str) -> None:
    signal = cannot_help(question, answer)
    assert (signal.score <= BORDER, signal.reason) == (True, "helps")


ANSWER = "Доставка стоит 300 рублей и занимает два дня."


def test_the_same_question_again_is_trouble() -> None:
    assert cannot_help("сколько стоит доставка в Казань", ANSWER).score <= BORDER
    again = cannot_help("сколько стоит доставка в Казань?", ANSWER, Dialogue(said=("Сколько стоит доставка в Казань",)))
    assert (again.score > BORDER, again.reason) == (True, "same_question")


def test_a_rejected_answer_is_trouble() -> None:
    rejected = cannot_help("это не помогло", ANSWER, Dialogue(said=("доставка?",), answered="Перезагрузите страницу."))
    assert (rejected.score > BORDER, rejected.reason) == (True, "answer_rejected")


def test_anger_twice_in_a_row_is_trouble_and_once_is_not() -> None:
    calm = Dialogue(said=("сколько стоит доставка",))
    angry = Dialogue(said=("что за ужас!!",))
    assert cannot_help("безобразие, где заказ 5", ANSWER, calm).score <= BORDER
    assert cannot_help("безобразие, где заказ 5", ANSWER, angry).reason == "angry_again"


@given(st.text(max_size=200), st.text(max_size=200))
def test_any_reply_gets_a_score_and_always_the_same(question: str, answer: str) -> None:
    signal = cannot_help(question, answer)
    assert 0.0 <= signal.score <= 1.0
    assert cannot_help(question, answer) == signal
