"""Letters: look-alikes, keyboard layouts, transliteration, and what sounds alike."""

import re
import unicodedata

_LATIN_ALIKE = "aceopxykmtbhi"
_CYRILLIC_ALIKE = "асеорхукмтвні"
_AS_CYRILLIC = str.maketrans(_LATIN_ALIKE + "rnu" + "04", _CYRILLIC_ALIKE[:-1] + "и" + "гпи" + "оч")
_AS_LATIN = str.maketrans(_CYRILLIC_ALIKE + "гпиѕј" + "0134@$", _LATIN_ALIKE + "rnusj" + "oieaas")
_FOREIGN = str.maketrans("αοεικνρτυχіїјѕԁɡ", "aoeikvptuxiijsdg")
_LEET_LATIN = str.maketrans("01345@$7!", "oieasasti")
_LEET_CYRILLIC = str.maketrans("0346@$", "озчбас")
_INVISIBLE = re.compile("[\u00ad\u0300\u0301\u200b-\u200f\u2060\ufe0f\ufeff]")

_QWERTY = "qwertyuiop[]asdfghjkl;'zxcvbnm,.`"
_YCUKEN = "йцукенгшщзхъфывапролджэячсмитьбюе"
_TO_YCUKEN = str.maketrans(_QWERTY, _YCUKEN)
_TO_QWERTY = str.maketrans(_YCUKEN[:-1] + "ё", _QWERTY)

_LATIN = re.compile("[a-z]")
_CYRILLIC = re.compile("[а-яіѕј]")
_STRETCHED = re.compile(r"(\w)\1{2,}")
_DOUBLED = re.compile(r"(\w)\1+")


def fold(text: str) -> str:
    """Bring a text to one spelling: compatibility forms, lower case, "е" for "ё", nothing invisible."""
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text)
        text = _INVISIBLE.sub("", text).translate(_FOREIGN)
    return text.lower().replace("ё", "е").replace("’", "'")


def has_latin(word: str) -> bool:
    return _LATIN.search(word) is not None


def has_cyrillic(word: str) -> bool:
    return _CYRILLIC.search(word) is not None


def look_alikes(word: str) -> tuple[str, ...]:
    """Read a word of mixed letters, or with digits for letters, as each alphabet would."""
    return tuple(
        reading
        for reading in (
            word.translate(_AS_CYRILLIC),
            word.translate(_LEET_CYRILLIC),
            word.translate(_AS_LATIN),
            word.translate(_LEET_LATIN),
        )
        if reading != word and reading.isalpha() and not (has_latin(reading) and has_cyrillic(reading))
    )


def unstretched(word: str) -> tuple[str, ...]:
    """Read a stretched word ("операаатор") with its runs of letters shortened to two, then to one."""
    twice = _STRETCHED.sub(r"\1\1", word)
    once = _STRETCHED.sub(r"\1", word)
    single = _DOUBLED.sub(r"\1", word)
    return tuple(dict.fromkeys(reading for reading in (twice, once, single) if reading != word))


def as_cyrillic_keys(chunk: str) -> str:
    """Read what was typed with the Latin layout on a Russian keyboard."""
    return chunk.translate(_TO_YCUKEN)


def as_latin_keys(chunk: str) -> str:
    """Read what was typed with the Russian layout on a Latin keyboard."""
    return chunk.translate(_TO_QWERTY)


_TO_COARSE = str.maketrans(
    {
        **dict(zip("абвгдежзийклмнопрстуфхцчшщыэ", "abvgdejziiklmnoprstufhcqwwie", strict=True)),
        "ь": "",
        "ъ": "",
        "ю": "iu",
        "я": "ia",
        "-": "",
        "'": "",
    }
)
_LATIN_SPELLINGS = tuple(
    (re.compile(pattern), coarse)
    for pattern, coarse in (
        ("shch|sch|sh4|wh", "w"), ("sh|6", "w"), ("tch|ch|4", "q"), ("zh", "j"), ("kh|x", "h"), ("ts|tz", "c"),
        ("ya", "ia"), ("yu", "iu"), ("y[oe]", "e"), ("y", "i"), ("w", "v"), ("'", ""),
    )
)  # fmt: skip
_SOFTENED = re.compile("i+(?=[aeu])")


def translit_key(word: str) -> tuple[str, ...]:
    """Fold a Russian word, and every way people write it in Latin letters, into the same few coarse spellings."""
    if has_cyrillic(word):
        return (_coarse(word.translate(_TO_COARSE)),)
    for pattern, coarse in _LATIN_SPELLINGS:
        word = pattern.sub(coarse, word)
    hard = _coarse(word)
    soft = _coarse(word.replace("jo", "e").replace("j", "i"))
    return (hard, soft) if soft != hard else (hard,)


def _coarse(key: str) -> str:
    return _DOUBLED.sub(r"\1", _SOFTENED.sub("", key))


_SOUNDS = str.maketrans({**dict(zip("оеэыйящёcyzq", "аиииииши" + "kisk", strict=True)), "ь": "", "ъ": "", "-": ""})


def spoken_key(word: str) -> str:
    """Fold letters that sound alike and are often confused, and doubled ones."""
    return _DOUBLED.sub(r"\1", word.translate(_SOUNDS).replace("ck", "k").replace("ph", "f"))
