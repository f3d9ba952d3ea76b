"""Check what no linter knows: no file names a package registry or a path of somebody's machine, none grows too long."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LONGEST = 500
"""Lines of a Python file."""
FORBIDDEN = {
    "names a package registry": re.compile(
        r"""pypi[.]org|pythonhosted[.]org|registry[.](?:npmjs|yarnpkg)[.]|"resolved": *"https?:"""
        r"""|(?:index-url|registry) *[= ] *.?https?:|^ *(?:index-url|extra-index-url|find-links) *[= ]""",
        re.IGNORECASE,
    ),
    "names a path of one machine": re.compile(r"(?<![\w.:/-])/(?:work|home/\w+|Users/\w+|root/[.]\w+)/"),
}


def problems(path: Path) -> Iterator[str]:
    """Say what is wrong with a file, line by line; one that is not text has nothing to say."""
    try:
        lines = path.read_text("utf-8").splitlines()
    except UnicodeDecodeError:
        return
    for number, line in enumerate(lines, 1):
        for problem, pattern in FORBIDDEN.items():
            if pattern.search(line):
                yield f"{path.relative_to(ROOT)}:{number}: {problem}"
    if path.suffix == ".py" and len(lines) > LONGEST:
        yield f"{path.relative_to(ROOT)}: {len(lines)} lines, of {LONGEST} at most"


def main() -> None:
    """Check every file that git knows or would add; end with status 1 if any has a problem."""
    listed = subprocess.run(
        ["git", "-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],  # noqa: S607  the git on PATH
        cwd=ROOT,
        stdout=subprocess.PIPE,
        check=True,
    )
    paths = [ROOT / name for name in listed.stdout.decode("utf-8", "surrogateescape").split("\0") if name]
    found = [problem for path in paths if path.is_file() and not path.is_symlink() for problem in problems(path)]
    sys.exit("\n".join(found) or None)


if __name__ == "__main__":
    main()
