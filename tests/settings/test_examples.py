"""The example files name every setting and work, as they are and with everything in them switched on."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from telefonist.settings import Settings
from telefonist.settings.declaration import Keys, declared
from telefonist.settings.problems import as_text, as_toml
from telefonist.settings.rows import Document
from tests.settings.conftest import Folder

ROOT = Path(__file__).parents[2]
DOTENV = (ROOT / ".env.example").read_text(encoding="utf-8")
TOML = (ROOT / "telefonist.example.toml").read_text(encoding="utf-8")
SWITCHED_ON_DOTENV = re.sub(r"^#(?=\S)", "", DOTENV, flags=re.MULTILINE)
SWITCHED_ON_TOML = re.sub(r"^#(?=\S)", "", TOML, flags=re.MULTILINE)
SETTINGS = dict(declared(Document))
NAMES = {setting.env for setting in SETTINGS.values() if setting.env}
KEYS = {
    "CALLBACK_AUTHORIZATION": "Bearer x",
    "COMPANY_CREDENTIALS": "b3VyLWlkOm91ci1zZWNyZXQ=",
    "OPENROUTER_API_KEY": "sk-or-1",
    **dict.fromkeys(("BOTHUB_API_KEY", "DEEPSEEK_API_KEY", "GROQ_API_KEY", "YANDEX_API_KEY"), "sk-1"),
}
SIZES = {"1 MiB": 1 << 20, "20 MiB": 20 << 20}
IN_PLACE_OF_BLANKS = {
    "ANTHROPIC_API_KEY": "sk-ant-1",
    "API_KEY": "sk-1",
    "AUTH_CREDENTIALS": "b3VyLWlkOm91ci1zZWNyZXQ=",
    "DATABASE_URL": "postgresql://u:p@h/d",
    "OPENAI_API_KEY": "sk-2",
    "OPENROUTER_API_KEY": "sk-3",
    "TELEFONIST_ADMIN_PASSWORD": "p" * 8,
    "TELEFONIST_CALLBACK_HEADERS": "Authorization: x",
    "TELEFONIST_SECRET": "s" * 32,
    "TELEFONIST_WEBHOOK_SECRET": "whsec_" + "A" * 32,
    "TELEGRAM_BOT_TOKEN": "1:" + "A" * 35,
    "TELEGRAM_WEBHOOK_SECRET": "s" * 32,
}


def keys_in(table: dict[str, Any], above: Keys = ()) -> set[Keys]:
    found: set[Keys] = set()
    for key, value in table.items():
        keys = (*above, key)
        if keys in SETTINGS:
            found.add(keys)
        for inner in value if isinstance(value, list) else [value]:
            if isinstance(inner, dict) and keys not in SETTINGS:
                found |= keys_in(inner, keys)
    return found


def without_notes(settings: Settings) -> dict[str, Any]:
    return {**dict(settings), "notes": ()}


def test_the_environment_example_names_every_setting_once_and_nothing_else() -> None:
    names = re.findall(r"^#([A-Z_]+)=", DOTENV, flags=re.MULTILINE)
    assert sorted(names) == sorted(NAMES)


def test_the_file_example_names_every_setting_that_a_file_may_hold() -> None:
    documented = keys_in(tomllib.loads(SWITCHED_ON_TOML))
    assert documented == {keys for keys, setting in SETTINGS.items() if setting.in_file}


def test_what_the_file_may_hold_once_has_a_name_in_the_environment() -> None:
    rows = {"providers", "models"}
    assert [keys for keys, setting in SETTINGS.items() if not setting.env and keys[0] not in rows] == []


def test_the_examples_change_nothing_as_they_are(folder: Folder) -> None:
    plain = folder.start()
    assert folder.start(TOML, DOTENV) == plain


def test_everything_in_the_environment_example_can_be_switched_on(folder: Folder) -> None:
    blanks = set(re.findall(r"^([A-Z_]+)=$", SWITCHED_ON_DOTENV, flags=re.MULTILINE))
    assert blanks == set(IN_PLACE_OF_BLANKS)
    folder.write("russian-trusted-root-ca.pem", "")
    settings = folder.start("", SWITCHED_ON_DOTENV, **IN_PLACE_OF_BLANKS)
    assert settings.public_url == "https://telefonist.example.com"
    assert settings.system_prompt_for(settings.doors.webhook) == "Answer briefly."


def test_the_environment_example_shows_the_defaults(folder: Folder) -> None:
    examples = {
        "GIGACHAT_CA_BUNDLE",
        "TELEFONIST_HANDOFF_HOURS",
        "TELEFONIST_PUBLIC_URL",
        "TELEFONIST_SYSTEM_PROMPT",
        "TELEFONIST_WEBHOOK_SYSTEM_PROMPT",
        "TELEFONIST_TELEGRAM_HELP_EN",
        "TELEFONIST_TELEGRAM_HELP_RU",
        "TELEFONIST_TELEGRAM_SYSTEM_PROMPT",
        "TELEFONIST_TELEGRAM_WELCOME_EN",
        "TELEFONIST_TELEGRAM_WELCOME_RU",
        "TELEGRAM_OPERATOR_GROUP_ID",
        "REDIS_HOST",
        "REDIS_URL",
    }
    dotenv = "\n".join(line for line in SWITCHED_ON_DOTENV.splitlines() if line.partition("=")[0] not in examples)
    plain = folder.start()
    assert without_notes(folder.start("", dotenv)) == without_notes(plain)


def test_everything_in_the_file_example_can_be_switched_on(folder: Folder) -> None:
    folder.write("company-root-ca.pem", "")
    settings = folder.start(SWITCHED_ON_TOML, **KEYS)
    assert settings.default_model == "gpt-4"
    assert settings.models[0].fallbacks == ("gemini-flash",)
    assert settings.delivery.headers == {"Authorization": "Bearer x", "X-Tenant": "7"}


def test_the_table_examples_of_the_file_show_the_defaults(folder: Folder) -> None:
    shown = tomllib.loads(SWITCHED_ON_TOML)
    plain = folder.start()
    for table in ("limits", "redis", "log"):
        for key, value in shown[table].items():
            assert getattr(getattr(plain, table), key) == SIZES.get(value, value)
    for key in shown["handoff"].keys() - {"hours", "time_zone"}:
        assert getattr(plain.handoff, key) == shown["handoff"][key]
    for key in shown["delivery"].keys() - {"allowed_networks", "headers"}:
        default = getattr(plain.delivery, key)
        assert (list(default) if isinstance(default, tuple) else default) == shown["delivery"][key]


@pytest.mark.parametrize("keys", [keys for keys, setting in SETTINGS.items() if setting.env and setting.in_file])
def test_the_example_that_an_error_gives_is_itself_valid(folder: Folder, keys: Keys) -> None:
    setting = SETTINGS[keys]
    model = "" if keys != ("default_model",) else "[[models]]\nname = 'gpt-4'\nprovider = 'demo'"
    folder.start(model, **{setting.env: as_text(setting.example)}, **KEYS)
    table = f"[{'.'.join(keys[:-1])}]\n" if keys[:-1] else ""
    folder.start(f"{table}{as_toml(keys, setting)}\n{model}", **KEYS)
