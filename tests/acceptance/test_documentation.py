"""The documentation names nothing that is not there, and leaves nothing out that should be in it."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import typer

from telefonist.cli import app
from telefonist.doors import openai_errors
from telefonist.settings import Settings, load_settings
from telefonist.settings.declaration import declared, fields_of
from telefonist.settings.names import with_files
from telefonist.settings.rows import Document as SettingsDocument
from telefonist.settings.rows import ModelRow, ProviderRow
from telefonist.texts import TEXTS
from tests.acceptance.markdown import ROOT, Document, documents, read

DOCUMENTS = documents()
ENVIRONMENT = {setting.env: keys for keys, setting in declared(SettingsDocument) if setting.env}
SETTINGS_TABLE = list(read("docs/configuration.md").table("Environment | `telefonist.toml`"))
SHOWN_KEYS = {
    "OPENROUTER_API_KEY": "sk-or-shown",
    "DEEPSEEK_API_KEY": "sk-shown",
    "ANTHROPIC_API_KEY": "sk-ant-shown",
    "AUTH_CREDENTIALS": "c2hvd24=",
    "COMPANY_CREDENTIALS": "c2hvd24=",
}

every_document = pytest.mark.parametrize("document", DOCUMENTS, ids=str)


@every_document
def test_every_relative_link_leads_somewhere(document: Document) -> None:
    for link in document.relative_links:
        file, _, anchor = link.partition("#")
        target = (document.path.parent / file).resolve() if file else document.path
        assert target.exists(), link
        if anchor:
            assert anchor in read(str(target.relative_to(ROOT))).anchors, link


@every_document
def test_every_path_that_is_named_exists(document: Document) -> None:
    rooms = {path.name for path in ROOT.glob("telefonist/*/")}
    for span in document.code_spans:
        first = span.partition("/")[0]
        if re.fullmatch(r"[\w.-]+(/[\w.-]+)+/?", span) and first in {"telefonist", "tests", "docs", "scripts", *rooms}:
            base = ROOT / "telefonist" if first in rooms else ROOT
            assert (base / span).exists(), span


@every_document
def test_every_setting_that_is_named_exists(document: Document) -> None:
    known = with_files(ENVIRONMENT)
    assert set(re.findall(r"\bTELEFONIST_[A-Z_]*[A-Z]", document.text)) <= known


@every_document
def test_every_command_that_is_named_exists(document: Document) -> None:
    commands = _command_names(typer.main.get_command(app))
    code = [*document.code_spans, *(fence.text for fence in document.fences if fence.language == "bash")]
    for text in code:
        for words in re.findall(r"(?<![\w/.])(?:\.venv/bin/)?telefonist ([a-z][a-z-]*(?: [a-z][a-z-]*)?)", text):
            first = words.split()[0]
            is_group = any(name.startswith(f"{first} ") for name in commands)
            assert (words if is_group else first) in commands, words


@every_document
def test_every_make_target_that_is_named_exists(document: Document) -> None:
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    code = [*document.code_spans, *(fence.text for fence in document.fences if fence.language == "bash")]
    assert {target for text in code for target in re.findall(r"^make ([\w-]+)", text, re.MULTILINE)} <= targets


@every_document
def test_every_settings_file_that_is_shown_is_accepted(document: Document, tmp_path: Path) -> None:
    for fence in document.fences:
        if fence.language == "toml":
            (tmp_path / "telefonist.toml").write_text(fence.text, "utf-8")
            assert load_settings(SHOWN_KEYS, tmp_path).models


def test_the_readme_says_the_same_in_both_languages() -> None:
    english, russian = read("README.md"), read("README.ru.md")
    assert [level for level, _ in english.headings] == [level for level, _ in russian.headings]
    assert [_without_words(english, number) for number in range(len(english.fences))] == [
        _without_words(russian, number) for number in range(len(russian.fences))
    ]
    ours = {"README.md", "README.ru.md"}
    assert set(english.relative_links) - ours == set(russian.relative_links) - ours
    assert english.text.count("\n|") == russian.text.count("\n|")
    assert set(_names(english)) == set(_names(russian))


def test_the_table_of_settings_is_complete() -> None:
    configuration = read("docs/configuration.md")
    rows = {row[0].strip("`"): row[1].strip("`") for row in SETTINGS_TABLE}
    keys = {env: ".".join(keys) for env, keys in ENVIRONMENT.items() if keys[0] != "keys"}
    in_file = {setting.env for _, setting in declared(SettingsDocument) if setting.in_file}
    assert rows == {env: key if env in in_file else "—" for env, key in keys.items()}
    named = {name for row in configuration.table("Environment | |") for name in re.findall(r"`(\w+)`", row[0])}
    assert named == {env for env, keys in ENVIRONMENT.items() if keys[0] == "keys"}


@pytest.mark.parametrize(("heading", "row"), [("`[[providers]]`", ProviderRow), ("`[[models]]`", ModelRow)])
def test_the_tables_of_providers_and_models_are_complete(heading: str, row: type[ProviderRow] | type[ModelRow]) -> None:
    shown = [cells[0].strip("`") for cells in read("docs/configuration.md").table(f"{heading} | Default | |")]
    assert shown == list(fields_of(row))


@pytest.mark.parametrize(
    "row", list(read("docs/configuration.md").table("Environment | `telefonist.toml`")), ids=lambda row: row[0]
)
def test_a_default_that_is_documented_is_the_default(row: list[str], tmp_path: Path) -> None:
    name, _, default, _ = row
    if not default.startswith("`") or name == "`TELEFONIST_CONFIG`":
        assert not default or default in {"made", "embedded", "the first", "as above", "`./telefonist.toml`"}
        return
    settings = load_settings({name.strip("`"): default.strip("`")}, tmp_path)
    assert _plain(settings) == _plain(load_settings({}, tmp_path))


@every_document
def test_every_error_that_is_listed_has_a_text(document: Document) -> None:
    for headings in ("Status | `code`", "Status | `type` | `code`"):
        if f"\n| {headings}" in document.text:
            for status, *cells in document.table(headings):
                unknown = set(re.findall(r"`(\w+)`", cells[-2])) - TEXTS.keys()
                assert not unknown or status == "`400`", unknown  # those of wrong fields have no text of ours


def test_the_errors_of_the_model_api_have_the_types_that_are_documented() -> None:
    rows = list(read("docs/model-api.md").table("Status | `type` | `code`"))
    assert {int(status.strip("`")) for status, *_ in rows} >= openai_errors.TYPES.keys() - {409, 422}
    for status, kind, *_ in rows:
        assert kind.strip("`") == openai_errors.envelope(int(status.strip("`")), "", None)["error"]["type"]


def test_every_direct_dependency_has_its_reason() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    wanted = [
        *project["project"]["dependencies"],
        *(name for names in project["project"]["optional-dependencies"].values() for name in names),
        *(name for names in project["dependency-groups"].values() for name in names),
    ]
    names = {re.split(r"[\[<>=; ]", requirement)[0] for requirement in wanted}
    shown = re.findall(r"^\| `([\w-]+)` \| .{12,}", read("docs/dependencies.md").text, re.MULTILINE)
    assert len(shown) == len(set(shown))
    assert set(shown) == names


def _command_names(command: Any, above: str = "") -> set[str]:
    inner = getattr(command, "commands", {})
    names = {f"{above}{name}" for name in inner}
    return names.union(*(_command_names(child, f"{above}{name} ") for name, child in inner.items()))


def _without_words(document: Document, number: int) -> tuple[str, str]:
    """Give a code block without what may differ between the languages: words, and values of one run."""
    fence = document.fences[number]
    if fence.language == "text":
        return fence.language, str(len(fence.text.splitlines()))
    text = re.sub(r'"(message|generated_response|answer|content)": "[^"]*"', r'"\1": "…"', fence.text)
    text = re.sub(r'[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|"v1,[^"]*"|"\d+"|"[\d-]+T[\d:.+]+"', "…", text)
    text = re.sub(r'"(prompt|completion|total)_tokens": \d+', r'"\1_tokens": …', text)
    return fence.language, re.sub(r" +# .*", "", text)


def _names(document: Document) -> list[str]:
    return [span for span in document.code_spans if re.fullmatch(r"[\w./:{}=-]+", span)]


def _plain(settings: Settings) -> dict[str, object]:
    return {name: value for name, value in settings.model_dump().items() if name != "notes"}
