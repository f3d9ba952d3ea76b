"""Where values come from: the environment, files that it names, and ``.env``."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from dotenv.parser import Original, parse_stream

FILE_SUFFIX = "_FILE"
ONLY_DIRECT = {"TELEFONIST_CONFIG"}
"""Names that hold a path anyway, so that a file with the path inside would only be a misunderstanding."""


@dataclass(frozen=True, slots=True)
class Found:
    """A value and where it was found, for the error that may follow."""

    value: str = field(repr=False)
    origin: str


@dataclass(frozen=True, slots=True)
class Environment:
    """The process environment before ``.env``; in each, ``NAME`` or ``NAME_FILE``.

    Values are stripped and an empty one counts as unset: compose files and ``.env`` templates are full of those.
    """

    real: Mapping[str, str] = field(repr=False)
    dotenv: Mapping[str, str] = field(repr=False)
    directory: Path

    @property
    def places(self) -> tuple[tuple[str, Mapping[str, str]], ...]:
        return ("the environment", self.real), (".env", self.dotenv)

    def mentions(self, name: str) -> bool:
        """Tell whether somebody meant to set the name, be its value of use or not."""
        return any(values.get(form, "").strip() for _, values in self.places for form in (name, name + FILE_SUFFIX))

    def find(self, name: str) -> Found | None:
        """Look a name up; ValueError where it is set twice in one place or its file cannot be read."""
        for place, values in self.places:
            direct = values.get(name, "").strip()
            file = "" if name in ONLY_DIRECT else values.get(name + FILE_SUFFIX, "").strip()
            if direct and file:
                raise ValueError(f"{name} and {name}{FILE_SUFFIX} are both set in {place}: keep one of them")
            if direct:
                return Found(direct, f"{name} in {place}")
            if file:
                return Found(self._read(name, file), f"the file that {name}{FILE_SUFFIX} names")
        return None

    def _read(self, name: str, file: str) -> str:
        path = self.directory / Path(file).expanduser()
        try:
            content = path.read_text(encoding="utf-8").strip()
        except OSError as error:
            raise ValueError(
                f"{name}{FILE_SUFFIX} names {path}, which cannot be read ({error.strerror}): "
                "mend the path or its rights"
            ) from None
        except UnicodeDecodeError:
            raise ValueError(f"{name}{FILE_SUFFIX} names {path}, which is not UTF-8 text: save it as UTF-8") from None
        if not content:
            raise ValueError(f"{name}{FILE_SUFFIX} names {path}, which is empty: write the value into it")
        return content


def read_environment(real: Mapping[str, str], directory: Path, problems: list[str]) -> Environment:
    """Take the environment together with ``.env`` of the directory, which need not exist.

    ``.env`` is read by python-dotenv's parser without interpolation, so that a ``$`` in a password stays one, and
    without touching ``os.environ``.
    """
    path = directory / ".env"
    dotenv: dict[str, str] = {}
    try:
        with path.open(encoding="utf-8") as stream:
            for binding in parse_stream(stream):
                if binding.error:
                    problems.append(f".env, line {_line_of(binding.original)}: it cannot be read; write NAME=value")
                elif binding.key and binding.value is not None:
                    dotenv[binding.key] = binding.value
    except FileNotFoundError:
        pass
    except UnicodeDecodeError:
        problems.append(f"{path} is not UTF-8 text: save it as UTF-8")
    except OSError as error:
        problems.append(f"{path} cannot be read ({error.strerror}): mend its rights or move it away")
    return Environment(real, dotenv, directory)


def _line_of(statement: Original) -> int:
    text = statement.string
    return statement.line + text[: len(text) - len(text.lstrip())].count("\n")
