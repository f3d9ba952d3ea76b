"""Comparing what a document shows with what really happens.

A document may show less than there is: of objects some fields, of lists the first entries, of headers some. An ellipsis
stands for anything. Ids, times, tokens and signatures are other ones each time, and only have to be of their kind.
"""

import json
import re
from typing import Any

import httpx

from tests.acceptance.curl import Curl
from tests.acceptance.markdown import Fence

ANYTHING = "…"

_VOLATILE = re.compile(
    r"""[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}       # ids
    | \d{4}-\d\d-\d\d(?:T[\d:.]+(?:Z|\+00:00))?           # times and days
    | \b\d{10}\b                                          # Unix times
    | v1,[\w+/=]{44}                                      # signatures""",
    re.VERBOSE,
)


def compare_answer(shown: Fence, response: httpx.Response, call: Curl) -> None:
    """Compare an answer with the block that is shown for it: what ``curl -i`` prints, JSON, CSV or plain text."""
    head, _, body = shown.text.partition("\n\n") if call.shows_headers else ("", "", shown.text)
    if head:
        status_line, *header_lines = head.strip().splitlines()
        assert status_line.split()[:2] == ["HTTP/1.1", str(response.status_code)]  # phrases differ between Pythons
        for line in header_lines:
            name, _, value = line.partition(": ")
            compare_text(value, response.headers[name], name)
    else:
        assert response.is_success, response.text
    if body and shown.language in ("http", "json"):
        _compare_json(json.loads(body), response.json(), "body")
    elif body:
        compare_text(body.strip(), response.text.strip().replace("\r\n", "\n"), "body")


def compare_text(shown: str, real: str, where: str) -> None:
    """Compare two texts."""
    pattern = ".*".join(re.escape(_steady(part)) for part in shown.split(ANYTHING))
    assert re.fullmatch(pattern, _steady(real), re.DOTALL), f"{where}: {shown!r} is shown, {real!r} came"


def _compare_json(shown: Any, real: Any, where: str) -> None:
    if isinstance(shown, dict):
        assert isinstance(real, dict), where
        for name, value in shown.items():
            assert name in real, f"{where}.{name}"
            _compare_json(value, real[name], f"{where}.{name}")
    elif isinstance(shown, list):
        assert isinstance(real, list), where
        assert len(real) >= len(shown), where
        for number, value in enumerate(shown):
            _compare_json(value, real[number], f"{where}[{number}]")
    else:
        assert type(shown) is type(real), where
        compare_text(str(shown), str(real), where)


def _steady(text: str) -> str:
    return _VOLATILE.sub("⁂", text)
