"""Reading a message: cut into words and segments, quotations marked, disguises taken off."""

import re
from dataclasses import dataclass

from telefonist.core.detection.condensing import condensed
from telefonist.core.detection.words import Word, is_transliterated, is_word, read_word, typed_on_other_layout

LONGEST_SEGMENT = 26
"""Words; a longer one without a full stop is cut at commas, then anywhere."""
FARTHEST_TASK = 10
"""Words before a colon among which a task is looked for."""
SHORTEST_SEGMENT = 3
"""Words; a shorter one is read together with its neighbour."""

TOKEN = re.compile(r"[\w@$]+(?:[-'&][\w@$]+)*|[.!?…]+|[,;:()\n\"«»“”„/—–-]")
_SPELLED = re.compile(r"(?<![\w-])\w(?:[ .\-_*·•|]{1,3}\w){3,}(?![\w-])")
_BETWEEN_LETTERS = re.compile(r"[ .\-_*·•|]+")
_ENDS = frozenset(".!?…\n;")
_TASKS = frozenset({"TASK", "LANG", "GRAMMAR", "SAYS", "XFER"})
_OPENING = {"«": "»", "“": "”", "„": "“", '"': '"'}
_SINGLE_QUOTED = re.compile(r"(?<![\w'])'([^'\n]{2,200}(?:'[a-z]{1,2}\b[^'\n]*)*)'(?!\w)")


@dataclass(frozen=True, slots=True)
class Token:
    """A word or a mark, and whether it stands in a quotation."""

    mark: str
    word: Word | None
    quoted: bool


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of a message that says one thing."""

    tokens: tuple[Token, ...]


def read(text: str) -> list[Segment]:
    """Read a message into segments, in order."""
    folded = _SINGLE_QUOTED.sub(r'"\1"', _spelled_out(_right_layout(condensed(text))))
    raw = [part for found in TOKEN.findall(folded) for part in _parts(found)]
    translit = sum(map(is_transliterated, raw)) * 3 >= 1
    tokens = _mark_quotes(raw, translit=translit)
    return _segments(tokens)


def _right_layout(text: str) -> str:
    chunks = re.split(r"(\s+)", text)
    readings = [typed_on_other_layout(chunk) if len(chunk) > 1 else None for chunk in chunks]
    found = sum(len(reading) for reading in readings if reading)
    strong = any(reading and len(reading.strip(".,;:")) >= 4 for reading in readings)
    if not strong or found * 3 < sum(len(chunk) for chunk in chunks if not chunk.isspace()):
        return text
    return "".join(reading or chunk for chunk, reading in zip(chunks, readings, strict=True))


def _spelled_out(text: str) -> str:
    """Join letters that were set apart ("о п е р а т о р", "ч-е-л-о-в-е-к"), if they make a word."""

    def joined(found: re.Match[str]) -> str:
        spelled = found.group()
        words = [_BETWEEN_LETTERS.sub("", part) for part in re.split(r" {2,}|[ ]*[|][ ]*", spelled)]
        if all(is_word(word) for word in words):
            return " ".join(words)
        whole = _BETWEEN_LETTERS.sub("", spelled)
        for cut in range(len(whole), 1, -1):
            if is_word(whole[:cut]) and (cut == len(whole) or is_word(whole[cut:])):
                return f"{whole[:cut]} {whole[cut:]}".strip()
        return whole if len(whole) > 5 and not any(letter.isdigit() for letter in whole) else spelled

    return _SPELLED.sub(joined, text)


def _parts(token: str) -> tuple[str, ...]:
    """Split a word at its hyphens, unless they belong to it or only stretch it ("че-ло-ве-ка")."""
    if "-" not in token or is_word(token):
        return (token,)
    whole = token.replace("-", "")
    parts = tuple(filter(None, token.split("-")))
    if is_word(whole) and not whole.isdigit() and not all(len(part) > 3 and is_word(part) for part in parts):
        return (whole,)
    return parts


def _mark_quotes(raw: list[str], *, translit: bool) -> list[Token]:
    closing_at = _quote_spans(raw)
    tokens: list[Token] = []
    until = -1
    for place, token in enumerate(raw):
        until = closing_at.get(place, until)
        is_mark = not (token[0].isalnum() or token[0] in "@$_")
        word = None if is_mark else read_word(token, translit=translit)
        if token.startswith(":") and place <= FARTHEST_TASK and _is_task(tokens):
            until = len(raw)
        tokens.append(Token(token if is_mark else "", word, place < until))
    if all(token.quoted for token in tokens if token.word):
        return [Token(token.mark, token.word, False) for token in tokens]
    return tokens


def _is_task(tokens: list[Token]) -> bool:
    """Say whether what stands before a colon asks to do something with what follows it."""
    return any(token.word and not _TASKS.isdisjoint(token.word.tags) for token in tokens)


def _quote_spans(raw: list[str]) -> dict[int, int]:
    spans, place = {}, 0
    while place < len(raw):
        closing = _OPENING.get(raw[place])
        end = raw.index(closing, place + 1) if closing is not None and closing in raw[place + 1 :] else None
        if end is not None:
            spans[place] = end
            place = end
        place += 1
    return spans


def _segments(tokens: list[Token]) -> list[Segment]:
    sentences: list[list[Token]] = [[]]
    for token in tokens:
        sentences[-1].append(token)
        if token.mark and token.mark[0] in _ENDS and not token.quoted:
            sentences.append([])
    pieces = [piece for sentence in sentences for piece in _cut(sentence)]
    merged: list[list[Token]] = []
    for piece in pieces:
        count = sum(token.word is not None for token in piece)
        if merged and (count == 0 or min(count, _count(merged[-1])) < SHORTEST_SEGMENT):
            merged[-1].extend(piece)
        elif piece:
            merged.append(list(piece))
    return [Segment(tuple(piece)) for piece in merged if any(token.word for token in piece)]


def _count(tokens: list[Token]) -> int:
    return sum(token.word is not None for token in tokens)


def _cut(sentence: list[Token]) -> list[list[Token]]:
    if _count(sentence) <= LONGEST_SEGMENT:
        return [sentence]
    clauses: list[list[Token]] = [[]]
    for token in sentence:
        clauses[-1].append(token)
        if token.mark in (",", ":", "(", ")", "-", "—", "–") or len(clauses[-1]) >= LONGEST_SEGMENT:
            clauses.append([])
    pieces: list[list[Token]] = [[]]
    for clause in clauses:
        if pieces[-1] and _count(pieces[-1]) + _count(clause) > LONGEST_SEGMENT // 2:
            pieces.append([])
        pieces[-1].extend(clause)
    return pieces
