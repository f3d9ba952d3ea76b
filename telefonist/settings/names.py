"""Which names of the environment are ours, and which only look so."""

import difflib
import re
from collections.abc import Iterable

from telefonist.settings.environment import FILE_SUFFIX, ONLY_DIRECT, Environment

PREFIX = "TELEFONIST_"
FROM_KUBERNETES = re.compile(r"_SERVICE_(HOST|PORT)(_\w+)?$|_PORT_\d+_(TCP|UDP|SCTP)(_\w+)?$")
KUBERNETES_FIX = "Kubernetes sets this name for a Service: put 'enableServiceLinks: false' into the pod's specification"


def closest(name: str, known: Iterable[str], cutoff: float = 0.75) -> str:
    """Give the known name that was probably meant, or nothing."""
    return next(iter(difflib.get_close_matches(name, list(known), n=1, cutoff=cutoff)), "")


def with_files(names: Iterable[str]) -> set[str]:
    """Add the ``NAME_FILE`` forms."""
    return {form for name in names for form in ((name,) if name in ONLY_DIRECT else (name, name + FILE_SUFFIX))}


def unknown_names(environment: Environment, settings: Iterable[str]) -> list[str]:
    """Say which ``TELEFONIST_*`` names nobody reads, in the environment or in ``.env``."""
    known = with_files(settings)
    without_prefix = {other.removeprefix(PREFIX): other for other in sorted(known)}
    problems = []
    for place, values in environment.places:
        for name in sorted(values):
            if not name.upper().startswith(PREFIX) or name in known:
                continue
            meant = without_prefix.get(closest(name.upper().removeprefix(PREFIX), without_prefix, cutoff=0.6))
            if FROM_KUBERNETES.search(name.removeprefix(PREFIX[:-1])) or values[name].startswith("tcp://"):
                fix = KUBERNETES_FIX
            elif meant:
                fix = f"did you mean {meant}?"
            else:
                fix = "remove it; .env.example lists the names there are"
            problems.append(f"{name} in {place}: there is no such setting; {fix}")
    return problems


def notes_on_names(environment: Environment, settings: Iterable[str]) -> list[str]:
    """Say which names have no effect although they look as if they should."""
    notes = []
    known = with_files(settings)
    for name in environment.dotenv:
        meant = closest(name, known, cutoff=0.85)
        if meant and name not in known and not name.startswith(PREFIX):
            notes.append(f"{name} in .env is not a name that Telefonist reads: did you mean {meant}?")
    return notes
