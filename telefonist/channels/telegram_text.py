"""Texts as Telegram takes them: Markdown becomes entities, and what is too long becomes several messages.

Telegram counts in UTF-16 units (https://core.telegram.org/bots/api#messageentity), and so does everything here.
Entities are sent in place of Telegram's own Markdown, which refuses a whole message for one unpaired asterisk.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.token import Token

LONGEST = 4096
"""UTF-16 units of one message."""

MOST_ENTITIES = 100
"""Entities that Telegram takes in one message; it ignores the rest."""

LINKS = ("https://", "http://", "tg://", "mailto:")
SPANS = {"strong": "bold", "em": "italic", "s": "strikethrough", "link": "text_link"}
CODE = ("code", "pre")
BREAKS = ("\n\n", "\n", " ")
"""Where a text is best cut, the best first."""


@dataclass(frozen=True, slots=True)
class Entity:
    """A stretch of a text that is shown differently, from ``start`` to before ``end``."""

    type: str
    start: int
    end: int
    url: str | None = None
    language: str | None = None

    def as_json(self) -> dict[str, Any]:
        """Give it as the Bot API wants it."""
        optional = {"url": self.url, "language": self.language}
        given = {name: value for name, value in optional.items() if value is not None}
        return {"type": self.type, "offset": self.start, "length": self.end - self.start, **given}


@dataclass(frozen=True, slots=True)
class Formatted:
    """A text and what of it is shown differently."""

    text: str
    entities: tuple[Entity, ...] = ()

    @property
    def length(self) -> int:
        """Count UTF-16 units."""
        return units(self.text)


def units(text: str) -> int:
    """Count the UTF-16 units of a text."""
    return len(text) + sum(character > "\uffff" for character in text)


def from_markdown(source: str) -> Formatted:
    """Read a model's Markdown (CommonMark with tables and strikethrough); HTML stays the text that it is."""
    writer = _Writer()
    writer.blocks(_parser().parse(source))
    return _trimmed("".join(writer.parts), [entity for entity in _apart(writer.entities) if entity.end > entity.start])


def split(formatted: Formatted, longest: int = LONGEST) -> list[Formatted]:
    """Cut a text into messages, between paragraphs, lines or words, and outside of entities as far as that can be.

    An entity that is itself too long for one message goes on in the next. Nothing comes of a blank text.
    """
    rest = _trimmed(formatted.text, formatted.entities)
    parts = []
    while rest.length > longest:
        at = _cut(rest, longest)
        parts.append(_slice(rest, 0, at))
        rest = _slice(rest, at, rest.length)
    return [replace(part, entities=part.entities[:MOST_ENTITIES]) for part in (*parts, rest) if part.text]


class _Writer:
    """Writes down tokens one after the other."""

    def __init__(self) -> None:
        self.parts: list[str] = []
        self.entities: list[Entity] = []
        self._at = 0
        self._open: list[tuple[str, int, str | None]] = []
        self._lists: list[int | None] = []
        """The next number of each list we are in, None where it has bullets."""
        self._quotes = 0
        self._gap = ""
        """What comes before the next piece of text, if there is one."""

    def blocks(self, tokens: "Sequence[Token]") -> None:
        rows: list[list[str]] = []
        for token in tokens:
            match token.type:
                case "inline" if rows:
                    rows[-1].append(_plain(token))
                case "inline":
                    self._inline(token)
                case "heading_open":
                    self._begin("bold")
                case "heading_close":
                    self._end()
                    self._block()
                case "paragraph_close":
                    self._block("\n" if token.hidden else "\n\n")
                case "fence" | "code_block":
                    self._add(token.content.removesuffix("\n"), "pre", language=token.info.split(" ")[0] or None)
                    self._block()
                case "hr":
                    self._add("———")
                    self._block()
                case "blockquote_open":
                    self._quotes += 1
                    if self._quotes == 1:
                        self._begin("blockquote")
                case "blockquote_close":
                    self._quotes -= 1
                    if self._quotes == 0:
                        self._end()
                case "bullet_list_open":
                    self._lists.append(None)
                case "ordered_list_open":
                    self._lists.append(int(token.attrGet("start") or 1))
                case "bullet_list_close" | "ordered_list_close":
                    self._lists.pop()
                    self._block("\n" if self._lists else "\n\n")
                case "list_item_open":
                    self._item()
                case "tr_open":
                    rows.append([])
                case "table_close":
                    self._add(_table(rows), "pre")
                    self._block()
                    rows = []

    def _inline(self, token: "Token") -> None:
        for child in token.children or ():
            match child.type:
                case "text":
                    self._add(child.content)
                case "softbreak" | "hardbreak":
                    self._add("\n" + "  " * max(0, len(self._lists) - 1))
                case "code_inline":
                    self._add(child.content, "code")
                case "image":
                    self._link(str(child.attrGet("src") or ""))
                    self._add(child.content or str(child.attrGet("src") or ""))
                    self._end()
                case "link_open":
                    self._link(str(child.attrGet("href") or ""))
                case "strong_open" | "em_open" | "s_open":
                    self._begin(SPANS[child.type.removesuffix("_open")])
                case "link_close" | "strong_close" | "em_close" | "s_close":
                    self._end()
                case _:
                    self._add(child.content)

    def _item(self) -> None:
        number = self._lists[-1]
        mark = "• " if number is None else f"{number}. "
        if number is not None:
            self._lists[-1] = number + 1
        if self.parts:
            self._gap = self._gap or "\n"
        self._add("  " * (len(self._lists) - 1) + mark)

    def _block(self, gap: str = "\n\n") -> None:
        self._gap = gap if self.parts else ""

    def _link(self, url: str) -> None:
        self._begin("text_link" if url.lower().startswith(LINKS) else "", url)

    def _begin(self, kind: str, url: str | None = None) -> None:
        self._fill_gap()
        self._open.append((kind, self._at, url))

    def _end(self) -> None:
        kind, start, url = self._open.pop()
        if kind:
            self.entities.append(Entity(kind, start, self._at, url=url))

    def _add(self, text: str, kind: str = "", language: str | None = None) -> None:
        if not text:
            return
        self._fill_gap()
        start = self._at
        self.parts.append(text)
        self._at += units(text)
        if kind:
            self.entities.append(Entity(kind, start, self._at, language=language))

    def _fill_gap(self) -> None:
        gap, self._gap = self._gap, ""
        if gap:
            self.parts.append(gap)
            self._at += units(gap)


@cache
def _parser() -> "MarkdownIt":
    from markdown_it import MarkdownIt  # most services speak to no chats

    return MarkdownIt("commonmark").enable(["table", "strikethrough"]).disable(["html_block", "html_inline", "code"])


def _plain(token: "Token") -> str:
    return "".join(child.content for child in token.children or ())


def _table(rows: Sequence[Sequence[str]]) -> str:
    """Write a table in columns, which a monospaced font keeps apart."""
    columns = max(len(row) for row in rows)
    widths = [max(len(row[column]) if column < len(row) else 0 for row in rows) for column in range(columns)]
    lines = [" | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=False)).rstrip() for row in rows]
    return "\n".join([lines[0], "-+-".join("-" * width for width in widths), *lines[1:]])


def _apart(entities: Sequence[Entity]) -> Iterator[Entity]:
    """Take code out of the entities around it: Telegram lets it stand in a quotation and nowhere else."""
    codes = sorted((entity.start, entity.end) for entity in entities if entity.type in CODE)
    for entity in entities:
        if entity.type in (*CODE, "blockquote"):
            yield entity
            continue
        inside = [code for code in codes if entity.start <= code[0] and code[1] <= entity.end]
        edges = [entity.start, *(edge for code in inside for edge in code), entity.end]
        for start, end in list(pairwise(edges))[::2]:
            yield replace(entity, start=start, end=end)


def _cut(formatted: Formatted, longest: int) -> int:
    """Find where to cut: a place outside of entities in the later half, else any such place, else any place."""
    whole = formatted.text.encode("utf-16-le")
    inside = [(entity.start, entity.end) for entity in formatted.entities]

    def is_free(at: int) -> bool:
        return not any(start < at < end for start, end in inside)

    for earliest in (longest // 2, 1):
        for mark in BREAKS:
            if at := _last_break(whole, mark, earliest, longest, is_free):
                return at
    edges = [edge for start, end in inside for edge in (start, end) if 0 < edge <= longest and is_free(edge)]
    if edges:
        return max(edges)
    for mark in BREAKS:
        if at := _last_break(whole, mark, longest // 2, longest, lambda _: True):
            return at
    halves = 0xDC00 <= int.from_bytes(whole[2 * longest : 2 * longest + 2], "little") < 0xE000
    return longest - 1 if halves else longest


def _last_break(whole: bytes, mark: str, earliest: int, latest: int, is_free: Any) -> int:
    """Give the last free place behind a mark, in UTF-16 units; 0 where there is none."""
    wanted = mark.encode("utf-16-le")
    end = 2 * latest
    while (found := whole.rfind(wanted, 2 * earliest, end)) >= 0:
        at = (found + len(wanted)) // 2
        if found % 2 == 0 and is_free(at):
            return at
        end = found + len(wanted) - 1
    return 0


def _slice(formatted: Formatted, start: int, end: int) -> Formatted:
    text = formatted.text.encode("utf-16-le")[2 * start : 2 * end].decode("utf-16-le")
    kept = [
        replace(entity, start=max(entity.start, start) - start, end=min(entity.end, end) - start)
        for entity in formatted.entities
        if entity.start < end and entity.end > start
    ]
    return _trimmed(text, kept)


def _trimmed(text: str, entities: Sequence[Entity]) -> Formatted:
    """Take blanks off both ends, as Telegram would, and move the entities along; the indent of code stays."""
    begun = len(text) - len(text.lstrip())
    first = text.rfind("\n", 0, begun) + 1 if any(entity.type == "pre" for entity in entities) else begun
    stripped = text[first:].rstrip()
    shift, end = units(text[:first]), units(stripped)
    moved = (
        replace(entity, start=max(0, entity.start - shift), end=min(end, entity.end - shift)) for entity in entities
    )
    kept = sorted((entity for entity in moved if entity.end > entity.start), key=lambda each: (each.start, -each.end))
    return Formatted(stripped, tuple(kept))
