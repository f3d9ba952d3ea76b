"""What is wrong with the settings, in words that name the setting and the fix."""

import json
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

from pydantic_core import ErrorDetails

from telefonist.errors import ConfigurationError
from telefonist.settings.declaration import Keys, Setting, Table, declared, fields_of, table_of
from telefonist.settings.names import closest

Location = tuple[str | int, ...]
ROWS = ("providers", "models")
"""What the file lists in tables of its own, ``[[models]]``."""


def configuration_error(problems: Sequence[str]) -> ConfigurationError:
    """Put every problem into one error, each on its line."""
    lines = "".join(f"\n  - {problem}" for problem in dict.fromkeys(problems))
    return ConfigurationError(f"Telefonist cannot start, its settings need a change:{lines}")


class Explainer:
    """Turns what pydantic found into sentences, knowing where each value came from."""

    def __init__(self, document: type[Table], data: Mapping[str, Any], origins: Mapping[Keys, str], file: str) -> None:
        self._document = document
        self._data = data
        self._origins = origins
        self._file = file
        self._settings = dict(declared(document))

    def explain(self, error: ErrorDetails) -> str:
        location = error["loc"]
        keys = tuple(key for key in location if isinstance(key, str))
        if error["type"] == "extra_forbidden":
            return self._unknown_key(location, keys)
        declared_keys = next((keys[:end] for end in range(len(keys), 0, -1) if keys[:end] in self._settings), None)
        if error["type"] == "missing":
            return f"{self._place(location)}: it is missing; write {as_toml(keys, self._settings[keys])}"
        if declared_keys is None:
            return self._about_table(error, location, keys)
        setting = self._settings[declared_keys]
        origin = self._origins.get(declared_keys)
        where = origin or self._place(location)
        reason = _reason(error)
        if reason:
            return f"{where}: {reason}"
        shown = "the value" if setting.secret else _shown(error["input"])
        example = f"{setting.env}={as_text(setting.example)}" if origin else as_toml(declared_keys, setting)
        return f"{where}: {shown} is not {setting.expects}; write for example {example}"

    def _about_table(self, error: ErrorDetails, location: Location, keys: Keys) -> str:
        if reason := _reason(error):
            return f"{_label(location, self._data)}: {reason}"
        where = self._place(location)
        listed = keys[0] in ROWS
        form = f"[[{keys[0]}]]" if listed else f"[{'.'.join(keys)}]"
        return f"{where}: it must be a {'list of tables' if listed else 'table'}; write {form} and its settings below"

    def _unknown_key(self, location: Location, keys: Keys) -> str:
        table: type[Table] = self._document
        for key in keys[:-1]:
            table = table_of(fields_of(table)[key]) or table
        key = keys[-1]
        meant = closest(key, fields_of(table), cutoff=0.6)
        elsewhere = {other[-1]: other for other, setting in self._settings.items() if setting.in_file}
        elsewhere |= {
            setting.env: other for other, setting in self._settings.items() if setting.env and setting.in_file
        }
        if meant and key not in elsewhere:
            fix = f"did you mean {meant}?"
        elif key in elsewhere or (key := closest(key, elsewhere)):
            fix = f"did you mean {_home(elsewhere[key])}?"
        else:
            fix = "remove it; telefonist.example.toml shows the settings there are"
        return f"{self._place(location)}: there is no such setting; {fix}"

    def _place(self, location: Location) -> str:
        return f"{_label(location, self._data)} in {self._file}"


def unwelcome_in_file(document: type[Table], data: dict[str, Any], file: str) -> Iterator[str]:
    """Take what only the environment may hold out of the file's data, and say so."""
    for keys, setting in declared(document):
        table: Any = data
        for key in keys[:-1]:
            table = table.get(key) if isinstance(table, dict) else None
        if not setting.in_file and isinstance(table, dict) and keys[-1] in table:
            del table[keys[-1]]
            yield f"{'.'.join(keys)} in {file}: only the environment or .env can set it; set {setting.env} there"


def _label(location: Location, data: Mapping[str, Any]) -> str:
    """Name a place as a reader of the file would: ``delivery.jitter``, or ``[[models]] gpt-4: upstream``."""
    if location[0] in ROWS and len(location) > 1 and isinstance(location[1], int):
        rows = data.get(str(location[0]))
        row = rows[location[1]] if isinstance(rows, list | tuple) and location[1] < len(rows) else {}
        name = row.get("name") if isinstance(row, Mapping) else None
        rest = ".".join(key for key in location[2:] if isinstance(key, str))
        return f"[[{location[0]}]] {name or f'number {location[1] + 1}'}" + (f": {rest}" if rest else "")
    return ".".join(key for key in location if isinstance(key, str))


def _home(keys: Keys) -> str:
    """Say where in the file a setting lives."""
    if len(keys) == 1:
        return f"{keys[0]}, at the top of the file before the first [table]"
    return f"{keys[-1]} in [[{keys[0]}]]" if keys[0] in ROWS else f"{keys[-1]} in [{'.'.join(keys[:-1])}]"


def _reason(error: ErrorDetails) -> str:
    return str(error["ctx"]["error"]) if error["type"] == "value_error" and "ctx" in error else ""


def _shown(value: Any) -> str:
    if isinstance(value, Decimal | bool):
        return str(value).lower()
    if isinstance(value, Mapping | list | tuple):
        return "the value"
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def as_text(example: Any) -> str:
    """Write an example as the environment takes it."""
    if isinstance(example, Mapping):
        return " | ".join(f"{name}: {value}" for name, value in example.items())
    return ", ".join(map(str, example)) if isinstance(example, list) else str(example)


def as_toml(keys: Keys, setting: Setting) -> str:
    """Write an example as a line of the file; JSON's texts, numbers and lists are TOML's too."""
    if isinstance(setting.example, Mapping):
        inner = ", ".join(f"{json.dumps(name)} = {json.dumps(value)}" for name, value in setting.example.items())
        return f"{keys[-1]} = {{ {inner} }}"
    return f"{keys[-1]} = {json.dumps(setting.example, ensure_ascii=False)}"
