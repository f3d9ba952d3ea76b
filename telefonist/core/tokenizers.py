"""OpenAI's tokenizers, from the vocabularies that come with us: nothing is downloaded."""

import base64
import gzip
import re
import threading
from collections.abc import Callable
from importlib.resources import files

from telefonist.logs import get_logger
from telefonist.types import estimate_tokens

log = get_logger(__name__)

PIECE = 50_000
"""Characters that are counted at once, in about 4 ms; a longer text is cut, for the tokenizer fails on a run of a
million blanks. A cut changes the count by a token at most."""

_NEWEST = "o200k_base"
_SPLITTING = {
    _NEWEST: (
        r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
        r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
        r"\p{N}{1,3}",
        r" ?[^\s\p{L}\p{N}]+[\r\n/]*",
        r"\s*[\r\n]+",
        r"\s+(?!\S)",
        r"\s+",
    ),
    "cl100k_base": (
        r"'(?i:[sdmt]|ll|ve|re)",
        r"[^\r\n\p{L}\p{N}]?+\p{L}++",
        r"\p{N}{1,3}+",
        r" ?[^\s\p{L}\p{N}]++[\r\n]*+",
        r"\s++$",
        r"\s*[\r\n]",
        r"\s+(?!\S)",
        r"\s",
    ),
}
"""How each vocabulary has a text cut into words. Source: openai/tiktoken, ``tiktoken_ext/openai_public.py``; the files
in ``vocabularies`` are those that it names, packed."""

_OF_CL100K = re.compile(r"(?:.*/)?(?:ft:)?(?:gpt-4(?!o|\.\d)|gpt-3\.?5|text-embedding-)")

_counters: dict[str, Callable[[str], int]] = {}
_loading = threading.Lock()


def vocabulary_of(model: str) -> str:
    """Name the vocabulary that a model's texts are counted with.

    GPT-4, GPT-3.5 and OpenAI's embeddings have one of their own. All else gets the newest there is: for OpenAI's other
    models it is theirs, and for those of other makers it is closer than bytes.
    """
    return "cl100k_base" if _OF_CL100K.match(model) else _NEWEST


def is_loaded(vocabulary: str) -> bool:
    return vocabulary in _counters


def count_tokens(text: str, vocabulary: str) -> int:
    """Count the tokens of a text; special tokens written in it are text like any other.

    Loads the vocabulary where that has not been done: a third of a second and some 80 MB, so do it in a thread. Without
    tiktoken, which has no wheel for rare machines, tokens are estimated by bytes.
    """
    counter = _counters.get(vocabulary) or _load(vocabulary)
    return sum(counter(text[start : start + PIECE]) for start in range(0, len(text), PIECE))


def _load(vocabulary: str) -> Callable[[str], int]:
    with _loading:  # several threads may come at once: the first loads for all
        if vocabulary not in _counters:
            _counters[vocabulary] = _counter(vocabulary)
        return _counters[vocabulary]


def _counter(vocabulary: str) -> Callable[[str], int]:
    try:
        from tiktoken import Encoding
    except ImportError as error:
        log.warning("tokenizer_missing", error=str(error))
        return estimate_tokens
    packed = files("telefonist.core").joinpath("vocabularies", f"{vocabulary}.tiktoken.gz").read_bytes()
    pairs = map(bytes.split, gzip.decompress(packed).splitlines())
    ranks = {base64.b64decode(token): int(rank) for token, rank in pairs}
    pattern = "|".join(_SPLITTING[vocabulary])
    encoding = Encoding(vocabulary, pat_str=pattern, mergeable_ranks=ranks, special_tokens={})
    return lambda text: len(encoding.encode_ordinary(text))
