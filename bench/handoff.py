"""What it costs to notice that a person is wanted: milliseconds a message, by kind of text.

``python -m bench.handoff`` reads lines that the detectors were never trained on, then texts of 10,000 characters: a
pasted conversation, and words that nobody has ever seen, with everything that is remembered between messages forgotten.
"""

import json
import random
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from telefonist.core.detection import reply, words
from telefonist.core.handoff_detection import cannot_help, wants_person

LINES = Path(__file__).resolve().parent.parent / "training" / "handoff"
LONG = 10_000
ROUNDS = 5


def measure(name: str, calls: list[Callable[[], object]], *, forgetful: bool) -> None:
    """Call everything a few times, and print the median and the 95th percentile in milliseconds."""
    taken = []
    for _ in range(ROUNDS):
        for call in calls:
            if forgetful:
                forget()
            start = time.perf_counter()
            call()
            taken.append((time.perf_counter() - start) * 1000)
    taken.sort()
    print(f"{name:46} median {statistics.median(taken):6.2f} ms   p95 {taken[len(taken) * 95 // 100]:6.2f} ms")


def forget() -> None:
    """Forget every word that was read before, as in a process that has just started."""
    for remembered in (words.read_word, words.typed_on_other_layout, words.is_transliterated, reply.read_reply_word):
        remembered.cache_clear()


def main() -> None:
    """Measure both detectors."""
    wishes = [json.loads(line)["text"] for line in (LINES / "wish" / "given.jsonl").read_text("utf-8").splitlines()]
    replies = [json.loads(line) for line in (LINES / "unable" / "given.jsonl").read_text("utf-8").splitlines()]
    chance = random.Random(1)
    pasted = " ".join(wishes)[:LONG]
    unseen = " ".join("".join(chance.choices("абвгдежзиклмнопрст", k=7)) for _ in range(LONG // 8))[:LONG]
    wants_person("the models are loaded by the first call")
    cannot_help("by the first call", "of each")
    for forgetful in (False, True):
        kind = "nothing remembered" if forgetful else "words remembered"
        measure(f"a wish, {kind}", [partial(wants_person, text) for text in wishes], forgetful=forgetful)
        measure(
            f"a reply, {kind}",
            [partial(cannot_help, row["question"], row["answer"]) for row in replies],
            forgetful=forgetful,
        )
        measure(f"a wish in {LONG} characters, {kind}", [partial(wants_person, pasted)] * 20, forgetful=forgetful)
        measure(f"unseen words, {LONG} characters, {kind}", [partial(wants_person, unseen)] * 20, forgetful=forgetful)
        measure(
            f"a reply of {LONG} characters, {kind}", [partial(cannot_help, pasted, pasted)] * 20, forgetful=forgetful
        )


if __name__ == "__main__":
    main()
