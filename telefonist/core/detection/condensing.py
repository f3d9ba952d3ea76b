"""Long messages: what is read of them, so that reading takes a few milliseconds at most."""

import re

from telefonist.core.detection.letters import fold

LONGEST = 1_000
"""Characters that are read whole."""
HEAD = 250
TAIL = 400
AROUND = 70
"""Characters on either side of a word that may matter."""

_TELLING = re.compile(
    r"операт|человек|людей|людям|живо[гймю]|менедж|специал|сотрудн|консульт|админ|поддержк|начальн|руковод|представит"
    r"|кто-н|кого-|кем-|соедин|переключ|перевед|позов|свяж|позвон|перезвон|набер|робот|скорую|умер|дыш|жить|себя"
    r"|human|person|operator|agent|manager|someone|somebody|represent|support|staff|speak|talk|call me|transfer|connect"
    r"|robot| bot|supervis|ambulance|suicid|myself|breath|die\b"
)


def condensed(text: str) -> str:
    """Fold a message and, where it is long, keep its beginning, its end, and what surrounds telling words between.

    People say what they want at the end of a story, else at its beginning. What is left out is marked by a new line.
    """
    if len(text) <= LONGEST:
        return fold(text)
    middle = fold(text[HEAD:-TAIL])
    kept, left = [fold(text[:HEAD])], LONGEST - HEAD - TAIL
    end = 0
    for found in _TELLING.finditer(middle):
        start, stop = max(end, found.start() - AROUND), min(len(middle), found.end() + AROUND)
        if stop <= end:
            continue
        if stop - start > left:
            break
        kept.append(middle[start:stop])
        left -= stop - start
        end = stop
    return "\n".join((*kept, fold(text[-TAIL:])))
