#!/bin/sh
# Find a Python that will do, and let it install Telefonist into .venv: install.sh [dev]
# Plain sh that calls no other program, for a machine may have nothing to call. PYTHON=... chooses the Python.
set -eu

fail() {
    printf '%s\n' "$@" >&2
    exit 1
}

is_new_enough() {
    "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1
}

makes_environments() {
    "$1" -c 'import ensurepip, venv' >/dev/null 2>&1
}

version_of() {
    "$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null
}

case $0 in
*/*) CDPATH='' cd -- "${0%/*}/.." ;;
*) cd .. ;;
esac

if [ -n "${PYTHON:-}" ]; then
    set -- "$PYTHON" -- "$@"
else
    # The .venv that is there goes first: it stays with its Python, and need not look for another.
    set -- ./.venv/bin/python python3.13 python3.12 python3.11 python3 -- "$@"
fi

too_old=''
bare=''
while [ "$1" != -- ]; do
    python=$1
    shift
    if is_new_enough "$python"; then
        if makes_environments "$python"; then
            while [ "$1" != -- ]; do shift; done
            shift
            exec "$python" scripts/install.py "$@"
        fi
        bare=${bare:-$python}
    elif version=$(version_of "$python"); then
        too_old=$version
    fi
done

if [ -n "$bare" ]; then
    version=$(version_of "$bare")
    fail "$bare is Python $version, but it cannot make virtual environments: its venv and ensurepip modules are missing." \
        "On Debian and Ubuntu, as root:  apt install python3-venv   (for a Python that is not the system's own:" \
        "python$version-venv). Then run make again."
fi
advice="Install Python 3.11 or newer (Debian 12, Ubuntu 24.04 and newer, as root: apt install python3 python3-venv;
macOS: brew install python@3.13) and run make again, or name one: make PYTHON=/path/to/python3.11"
if [ -n "${PYTHON:-}" ] && [ -z "$too_old" ]; then
    fail "PYTHON=$PYTHON does not run." "$advice"
elif [ -n "$too_old" ]; then
    fail "Telefonist needs Python 3.11 or newer, and ${PYTHON:-python3} here is Python $too_old." "$advice"
fi
fail "Telefonist needs Python 3.11 or newer, and there is no python3 here." "$advice"
