"""Reading our own Markdown: code fences, headings, links, and what is written as code."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_HEADING = re.compile(r"^(#+) (.+)$", re.MULTILINE)
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_CODE = re.compile(r"`([^`]+)`")


@dataclass(frozen=True, slots=True)
class Fence:
    """A block of code and what it is said to be."""

    language: str
    text: str


@dataclass(frozen=True, slots=True)
class Document:
    """A Markdown file of the repository."""

    path: Path
    text: str

    def __str__(self) -> str:
        return str(self.path.relative_to(ROOT))

    @property
    def fences(self) -> list[Fence]:
        return [Fence(language, text) for language, text in _FENCE.findall(self.text)]

    @property
    def prose(self) -> str:
        return _FENCE.sub("", self.text)

    @property
    def headings(self) -> list[tuple[int, str]]:
        return [(len(marks), title) for marks, title in _HEADING.findall(self.prose)]

    @property
    def anchors(self) -> set[str]:
        """The fragments of the headings, as GitHub makes them."""
        return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for _, title in self.headings}

    @property
    def relative_links(self) -> list[str]:
        return [target for target in _LINK.findall(self.prose) if not re.match(r"\w+:", target)]

    @property
    def code_spans(self) -> list[str]:
        return [" ".join(span.split()) for span in _CODE.findall(self.prose)]

    def table(self, headings: str) -> Iterator[list[str]]:
        """Give the cells of the table whose headings begin like that."""
        rows = iter(self.text.split(f"\n| {headings}", 1)[1].splitlines()[2:])
        for row in rows:
            if not row.startswith("|"):
                return
            yield [cell.strip() for cell in row.strip("|").split("|")]


def read(path: str) -> Document:
    """Read a file named from the repository's root."""
    return Document(ROOT / path, (ROOT / path).read_text("utf-8"))


def documents() -> list[Document]:
    """Read every Markdown file that we wrote."""
    paths = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]
    return [read(str(path.relative_to(ROOT))) for path in sorted(paths)]
