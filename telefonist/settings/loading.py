"""How the settings come together: the environment over ``.env`` over telefonist.toml over the defaults."""

import os
import tomllib
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from telefonist.settings.catalogue import build_catalogue
from telefonist.settings.declaration import Keys, declared
from telefonist.settings.environment import Environment, read_environment
from telefonist.settings.names import notes_on_names, unknown_names
from telefonist.settings.problems import Explainer, configuration_error, unwelcome_in_file
from telefonist.settings.rows import Document
from telefonist.settings.schema import Options, Settings


def load_settings(environ: Mapping[str, str] | None = None, directory: Path | None = None) -> Settings:
    """Read every setting once, at the start, and check them all.

    ``environ`` is the process environment unless given; ``directory`` is where ``.env`` is looked for and what relative
    paths start from, the current folder unless given. Raises ConfigurationError, which names every problem found, where
    each value came from and what to do; it never holds a secret.
    """
    directory = (directory or Path.cwd()).absolute()
    problems: list[str] = []
    environment = read_environment(os.environ if environ is None else environ, directory, problems)
    names = [setting.env for _, setting in declared(Document) if setting.env]
    problems += unknown_names(environment, names)
    path, data = _read_file(environment, directory, problems)
    problems += unwelcome_in_file(Document, data, path.name)
    origins = _lay_over(data, environment, problems)
    if environment.mentions("DATABASE_URL") and not environment.mentions("TELEFONIST_SECRET"):
        problems.append(
            "TELEFONIST_SECRET is missing, which DATABASE_URL makes compulsory, since all processes on a database must "
            "share it: make one with 'openssl rand -hex 32' and set it for each of them"
        )
    document = _validate(data, environment, Explainer(Document, data, origins, path.name), problems)
    if document is None:
        raise configuration_error(problems)
    catalogue = build_catalogue(document, directory, problems)
    if problems:
        raise configuration_error(problems)
    options: dict[str, Any] = {name: getattr(document, name) for name in Options.model_fields}
    options["data_dir"] = directory / document.data_dir.expanduser()
    options["config"] = path
    return Settings(
        **options,
        providers=catalogue.providers,
        models=catalogue.models,
        default_model=catalogue.default_model,
        notes=(*notes_on_names(environment, names), *_notes_on_redis(document, environment), *catalogue.notes),
    )


def _read_file(environment: Environment, directory: Path, problems: list[str]) -> tuple[Path, dict[str, Any]]:
    """Read telefonist.toml; one that is named must exist, the default one need not."""
    named = environment.find("TELEFONIST_CONFIG")
    path = directory / Path(named.value if named else "telefonist.toml").expanduser()
    try:
        text = path.read_text(encoding="utf-8-sig")
        return path, tomllib.loads(text, parse_float=Decimal)
    except FileNotFoundError:
        if named is None:
            return path, {}
        problems.append(f"{named.origin}: {path} does not exist; mend the path, or unset it to do without a file")
    except OSError as error:
        problems.append(f"{path} cannot be read ({error.strerror}): mend the path or its rights")
    except UnicodeDecodeError:
        problems.append(f"{path} is not UTF-8 text: save it as UTF-8")
    except tomllib.TOMLDecodeError as error:
        problems.append(f"{path} is not valid TOML: {error}; mend that line")
    raise configuration_error(problems)


def _lay_over(data: dict[str, Any], environment: Environment, problems: list[str]) -> dict[Keys, str]:
    """Put what the environment says over the file's data, and remember from where it came."""
    origins: dict[Keys, str] = {}
    for keys, setting in declared(Document):
        if not setting.env:
            continue
        try:
            found = environment.find(setting.env)
        except ValueError as error:
            problems.append(str(error))
            continue
        if found is None:
            continue
        table: Any = data
        for key in keys[:-1]:
            table = table.setdefault(key, {}) if isinstance(table, dict) else None
        if isinstance(table, dict):
            table[keys[-1]] = found.value
            origins[keys] = found.origin
    return origins


def _validate(
    data: dict[str, Any], environment: Environment, explainer: Explainer, problems: list[str]
) -> Document | None:
    try:
        return Document.model_validate(data, context={"environment": environment})
    except ValidationError as error:
        problems += [explainer.explain(details) for details in error.errors(include_url=False)]
        return None


def _notes_on_redis(document: Document, environment: Environment) -> list[str]:
    if document.redis.url and document.redis.host:
        return ["REDIS_URL and REDIS_HOST are both set: REDIS_URL is used."]
    if not document.redis.url and not document.redis.host and environment.mentions("REDIS_PORT"):
        return ["REDIS_PORT has no effect without REDIS_HOST."]
    return []
