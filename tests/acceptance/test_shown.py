"""What is shown in a document and what comes are told apart where they differ, and only there."""

import httpx
import pytest

from tests.acceptance.curl import Curl
from tests.acceptance.markdown import Fence
from tests.acceptance.shown import compare_answer, compare_text

AN_ID, ANOTHER_ID = "01a1f9f2-55b4-7df5-a842-37111d0e34b5", "01a1fa08-7fe7-784d-8270-6fee52bd371f"


@pytest.mark.parametrize(
    ("shown", "real"),
    [
        ("the same", "the same"),
        (f"task {AN_ID}", f"task {ANOTHER_ID}"),
        ("tf-…", "tf-I370AQwpglLiFao5"),
        ("first\n…\nlast", "first\nsecond\nlast"),
    ],
)
def test_what_is_of_the_same_kind_is_taken(shown: str, real: str) -> None:
    compare_text(shown, real, "here")


@pytest.mark.parametrize(
    ("shown", "real"),
    [("one", "two"), (AN_ID, "no id"), ("tf-…", "sk-I370"), ("whole", "whole and more"), ("a.c", "abc")],
)
def test_what_differs_is_told(shown: str, real: str) -> None:
    with pytest.raises(AssertionError, match="is shown"):
        compare_text(shown, real, "here")


@pytest.mark.parametrize("real", ['{"balance": 7}', '{"balance": "8"}', '{"held": 8}', '{"balance": [8]}'])
def test_another_answer_than_the_one_shown_is_told(real: str) -> None:
    shown = Fence("json", '{"balance": 8}')
    with pytest.raises(AssertionError, match="balance"):
        compare_answer(shown, httpx.Response(200, text=real), Curl(url="/"))
    with pytest.raises(AssertionError):
        compare_answer(shown, httpx.Response(402, text='{"balance": 8}'), Curl(url="/"))
    compare_answer(shown, httpx.Response(200, text='{"balance": 8, "held": 0}'), Curl(url="/"))
