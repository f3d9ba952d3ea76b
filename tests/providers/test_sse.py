"""Event streams are read as the WHATWG standard says, however the network cuts them."""

import re
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from telefonist.errors import ProviderProtocolError
from telefonist.providers.sse import ServerSentEvent, SSEParser


def parse(*reads: bytes) -> list[tuple[str, str]]:
    parser = SSEParser("fake")
    return [(event.event, event.data.decode()) for read in reads for event in parser.feed(read)]


def data_of(*reads: bytes) -> list[str]:
    return [data for _, data in parse(*reads)]


def by_the_book(stream: bytes) -> list[ServerSentEvent]:
    """Read a whole stream with the standard's algorithm, written as plainly as it is there."""
    events: list[ServerSentEvent] = []
    kind, data = "", b""
    lines = re.split(rb"\r\n|\n|\r", stream.removeprefix(b"\xef\xbb\xbf"))
    for line in lines[:-1]:
        if not line:
            if data:
                events.append(ServerSentEvent(kind or "message", data[:-1]))
            kind, data = "", b""
            continue
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            data += value + b"\n"
        elif name == b"event":
            kind = value.decode(errors="replace")
    return events


def test_events_are_separated_by_empty_lines() -> None:
    assert data_of(b"data: one\n\ndata: two\n\n") == ["one", "two"]


def test_comments_are_ignored() -> None:
    assert data_of(b": OPENROUTER PROCESSING\n\n: ping\n\ndata: one\n: inside\n\n") == ["one"]


@pytest.mark.parametrize("newline", [b"\n", b"\r\n", b"\r"])
def test_every_kind_of_line_end_counts(newline: bytes) -> None:
    assert data_of(b"data: one\n\ndata: two\n\n".replace(b"\n", newline)) == ["one", "two"]


def test_a_carriage_return_and_its_line_feed_may_come_in_different_reads() -> None:
    assert data_of(b"data: one\r", b"\n\r", b"\ndata: two\r", b"\n", b"\r\n") == ["one", "two"]


def test_an_event_is_given_as_soon_as_its_last_carriage_return_is_there() -> None:
    assert data_of(b"data: one\r\r") == ["one"]


def test_the_space_after_the_colon_is_optional_and_only_one_is_taken() -> None:
    assert data_of(b"data:one\n\n", b"data:  two\n\n") == ["one", " two"]


def test_several_data_lines_make_one_event() -> None:
    assert data_of(b"data: one\ndata\ndata: two\n\n") == ["one\n\ntwo"]


def test_a_letter_may_be_split_between_two_reads() -> None:
    whole = "data: маяк\n\n".encode()
    assert data_of(whole[:7], whole[7:]) == ["маяк"]


def test_a_byte_order_mark_at_the_start_is_skipped_even_in_pieces() -> None:
    assert data_of(b"\xef", b"\xbb", b"\xbfdata: one\n\n") == ["one"]
    assert data_of(b"\xef\xbb\xbfdata: one\n\n\xef\xbb\xbfdata: two\n\n") == ["one"]


def test_an_event_has_the_type_that_was_named() -> None:
    assert parse(b"event: error\ndata: {}\n\ndata: {}\n\n") == [("error", "{}"), ("message", "{}")]
    assert parse(b"event: lost\n\ndata: {}\n\n") == [("message", "{}")]
    assert parse(b"event: lost\nevent\ndata: {}\n\n") == [("message", "{}")]


def test_other_fields_are_ignored() -> None:
    assert data_of(b"id: 1\nretry: 10\nnonsense\ndatabase: x\ndata: one\n\n") == ["one"]


def test_an_event_that_never_ends_is_dropped() -> None:
    assert data_of(b"data: one\n\ndata: two\n") == ["one"]


def test_a_line_longer_than_64_kb_is_read_whole() -> None:
    line = b"x" * 300_000
    stream = b"data: " + line + b"\n\n"
    reads = [stream[start : start + 4096] for start in range(0, len(stream), 4096)]
    assert data_of(*reads) == [line.decode()]


def repeat(piece: bytes, times: int, limit: int) -> None:
    parser = SSEParser("fake", limit)
    for _ in range(times):
        list(parser.feed(piece))


@pytest.mark.parametrize("endless", [b"data: " + b"x" * 100, b": " + b"x" * 100, b"data: xxxx\n"])
def test_an_endless_event_is_refused(endless: bytes) -> None:
    with pytest.raises(ProviderProtocolError, match="more than 1000 bytes"):
        repeat(endless, times=1000, limit=1000)


def test_the_limit_is_for_one_event_not_for_the_stream() -> None:
    parser = SSEParser("fake", limit=1000)
    assert sum(len(list(parser.feed(b"data: " + b"x" * 900 + b"\n\n: ping\n\n"))) for _ in range(50)) == 50


def test_events_before_one_too_large_are_given_all_the_same() -> None:
    events = SSEParser("fake", limit=1000).feed(b"data: one\n\ndata: " + b"x" * 2000)
    assert next(events).data == b"one"
    with pytest.raises(ProviderProtocolError):
        next(events)


STREAMS = st.lists(
    st.sampled_from(
        [
            b"data",
            b"event",
            b"id",
            b":",
            b" ",
            b"\n",
            b"\n",
            b"\r",
            b"\r\n",
            b"x",
            "я".encode(),
            b"{}",
            b"\xef\xbb\xbf",
            b"\xff",
        ]
    ),
    max_size=40,
).map(b"".join)


@given(STREAMS, st.lists(st.integers(0, 200), max_size=12))
@example(b"data: x\r\n\r\n", [8])
@example(b"\xef\xbb\xbfdata:x\n\n", [1, 2])
def test_any_split_of_the_bytes_gives_the_events_of_the_standard(stream: bytes, cuts: list[int]) -> None:
    places = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    parser = SSEParser("fake")
    events = [event for start, end in pairwise(places) for event in parser.feed(stream[start:end])]
    assert events == by_the_book(stream)
