"""How a setting is declared: its names outside, and what a person is told when its value is wrong."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, get_args

from pydantic import BaseModel, ConfigDict
from pydantic.fields import FieldInfo

Keys = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Setting:
    """Stands beside a field's type and is all that the loader, its errors and the tests of the documentation need."""

    expects: str
    """A noun phrase that ends the sentence "... is not"."""
    example: Any
    env: str = ""
    """The environment name; empty where only the file can hold it."""
    in_file: bool = True
    """False for secrets and for what is needed before the file is read."""
    secret: bool = False
    """The value appears neither in an error nor in a repr."""


class Table(BaseModel):
    """One table of telefonist.toml: frozen, without unknown keys, and silent about its secrets."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        secret = {name for name, info in type(self).model_fields.items() if (s := setting_of(info)) and s.secret}
        return ((name, value) for name, value in super().__repr_args__() if name not in secret)


def setting_of(info: FieldInfo) -> Setting | None:
    return next((item for item in info.metadata if isinstance(item, Setting)), None)


def table_of(info: FieldInfo) -> type[Table] | None:
    """Give the table that a field holds, once (``[delivery]``) or in a list (``[[models]]``)."""
    candidates = (info.annotation, *get_args(info.annotation))
    return next((item for item in candidates if isinstance(item, type) and issubclass(item, Table)), None)


def fields_of(table: type[Table]) -> dict[str, FieldInfo]:
    """Give the fields by the key that the file uses for them."""
    return {info.alias or name: info for name, info in table.model_fields.items()}


def declared(table: type[Table], above: Keys = ()) -> Iterator[tuple[Keys, Setting]]:
    """Walk through every setting with its keys; the position in a list of tables is not part of them."""
    for key, info in fields_of(table).items():
        inner = table_of(info)
        if inner is not None:
            yield from declared(inner, (*above, key))
        elif setting := setting_of(info):
            yield (*above, key), setting
