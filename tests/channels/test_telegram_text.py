"""What models write in Markdown is shown as meant, and what is too long comes in several messages."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telefonist.channels.telegram_text import LONGEST, Formatted, from_markdown, split, units
from tests.fakes.telegram_rules import check_text


def shown(formatted: Formatted) -> list[tuple[str, str]]:
    """Give each entity's kind and the text that it covers."""
    whole = formatted.text.encode("utf-16-le")
    return [
        (entity.type, whole[2 * entity.start : 2 * entity.end].decode("utf-16-le")) for entity in formatted.entities
    ]


@pytest.mark.parametrize(
    ("source", "text", "entities"),
    [
        ("просто текст", "просто текст", []),
        ("**жирно**", "жирно", [("bold", "жирно")]),
        ("*a* и _b_", "a и b", [("italic", "a"), ("italic", "b")]),
        ("~~нет~~", "нет", [("strikethrough", "нет")]),
        ("`x = 1`", "x = 1", [("code", "x = 1")]),
        ("😀 **😀!**", "😀 😀!", [("bold", "😀!")]),
        ("# Итог\n\nтекст", "Итог\n\nтекст", [("bold", "Итог")]),
        ("[сюда](https://example.com/a)", "сюда", [("text_link", "сюда")]),
        ("[никуда](javascript:alert)", "[никуда](javascript:alert)", []),
        ("- раз\n- два\n  - три\n- 4", "• раз\n• два\n  • три\n• 4", []),
        ("3. раз\n4. два", "3. раз\n4. два", []),
        ("> раз\n> два\n\nтри", "раз\nдва\n\nтри", [("blockquote", "раз\nдва")]),
        ("```python\nif x:\n    y\n```", "if x:\n    y", [("pre", "if x:\n    y")]),
        ("**до `код` после**", "до код после", [("bold", "до "), ("code", "код"), ("bold", " после")]),
        ("| a | bb |\n|---|---|\n| 1 | 2 |", "a | bb\n--+---\n1 | 2", [("pre", "a | bb\n--+---\n1 | 2")]),
        ("2 * 3 * 4 и snake_case_name", "2 * 3 * 4 и snake_case_name", []),
        ("<b>не HTML</b> & так", "<b>не HTML</b> & так", []),
        ("    не код", "не код", []),
        ("**не закрыто", "**не закрыто", []),
    ],
)
def test_markdown_is_shown_as_meant(source: str, text: str, entities: list[tuple[str, str]]) -> None:
    formatted = from_markdown(source)
    assert formatted.text == text
    assert shown(formatted) == entities


def test_a_code_block_says_its_language() -> None:
    (entity,) = from_markdown("```rust\nlet x;\n```").entities
    assert entity.as_json() == {"type": "pre", "offset": 0, "length": 6, "language": "rust"}


def test_a_long_text_is_cut_between_paragraphs() -> None:
    paragraph = "слово " * 300
    parts = split(from_markdown("\n\n".join([paragraph] * 4)))
    assert [part.text.count("\n\n") for part in parts] == [1, 1]


def test_characters_outside_the_basic_plane_count_twice_and_are_not_torn() -> None:
    parts = split(Formatted("я" + "😀" * 4096))
    assert [part.length for part in parts] == [4095, 4096, 2]
    assert "".join(part.text for part in parts) == "я" + "😀" * 4096


def test_a_code_block_goes_into_the_next_message_rather_than_being_cut() -> None:
    code = "\n".join(f"line {number}" for number in range(300))
    parts = split(from_markdown(f"{'слово ' * 400}\n\n```\n{code}\n```\n\nконец"))
    assert [kind for part in parts for kind, _ in shown(part)] == ["pre"]
    assert shown(parts[1])[0][1] == code


def test_a_code_block_that_fits_no_message_goes_on_as_code() -> None:
    code = "\n".join(f"line {number}" for number in range(1000))
    parts = split(from_markdown(f"```\n{code}\n```"))
    assert len(parts) == 3
    assert all(shown(part) == [("pre", part.text)] for part in parts)
    assert "\n".join(part.text for part in parts) == code


def test_nothing_is_sent_for_a_blank_text() -> None:
    assert split(from_markdown(" \n\n ")) == []


MARKS = ["**", "*", "_", "`", "~~", "|", "![p](https://q.r)", "[a](https://b.c)", "&amp;", "\\*", "слово ", "😀"]
BLANKS = ["\n", "\n\n", "```\n", "|-|-|\n", "> ", "- ", "1. ", "# ", "  ", "\t", "\u200b", "x" * 50]
MARKDOWN = st.lists(st.sampled_from([*MARKS, *BLANKS]), max_size=60).map("".join)


@given(MARKDOWN, st.integers(20, 200))
def test_whatever_a_model_writes_telegram_takes_it(source: str, longest: int) -> None:
    formatted = from_markdown(source)
    for part in [*split(formatted), *split(formatted, longest)]:
        check_text(part.text, [entity.as_json() for entity in part.entities])
    assert all(part.length <= longest for part in split(formatted, longest))


@given(MARKDOWN, st.integers(20, 200))
def test_cutting_loses_nothing_but_blanks(source: str, longest: int) -> None:
    formatted = from_markdown(source)
    parts = split(formatted, longest)
    assert re.sub(r"\s", "", "".join(part.text for part in parts)) == re.sub(r"\s", "", formatted.text)


@given(st.text(alphabet="a😀 \n", max_size=9000))
def test_any_text_fits(text: str) -> None:
    assert all(units(part.text) <= LONGEST for part in split(Formatted(text)))
