"""Where a value is taken from."""

import os
from pathlib import Path

import pytest

from telefonist.settings import load_settings
from tests.settings.conftest import Folder


def test_without_any_setting_the_documented_defaults_hold(folder: Folder) -> None:
    settings = folder.start()
    assert (settings.host, settings.port, settings.grace) == ("127.0.0.1", 8080, 20)
    assert settings.data_dir == folder.path / "data"
    assert settings.config == folder.path / "telefonist.toml"
    assert settings.doors.webhook.rate_limit == "5/minute"
    assert list(settings.delivery.retry_schedule) == [5, 60, 300, 1800, 7200, 18000, 36000]
    assert (settings.delivery.jitter, settings.delivery.hold_back, settings.delivery.per_host) == (0.2, 600, 50)
    assert (settings.delivery.connect_timeout, settings.delivery.total_timeout) == (10, 30)
    assert settings.delivery.retry_after_cap == 3600
    assert (settings.limits.body, settings.limits.max_in_flight, settings.limits.provider_retries) == (1 << 20, 1000, 2)
    assert (settings.log.level, settings.log.format, settings.log.messages) == ("info", "auto", False)
    assert settings.anonymous == "auto"
    assert {settings.secret, settings.database_url, settings.redis_url, settings.public_url} == {None}
    assert settings.trusted_proxies == settings.delivery.allowed_networks == settings.delivery.signing_secrets == ()
    assert settings.notes == ()


def test_the_environment_beats_dotenv_which_beats_the_file(folder: Folder) -> None:
    toml = "port = 1\ngrace = 1\nhost = 'a.example'"
    settings = folder.start(toml, "TELEFONIST_PORT=2\nTELEFONIST_GRACE=2", TELEFONIST_PORT="3")
    assert (settings.port, settings.grace, settings.host) == (3, 2, "a.example")


def test_the_environment_fills_a_table_of_the_file_key_by_key(folder: Folder) -> None:
    settings = folder.start("[delivery]\njitter = 0.5\nper_host = 7", TELEFONIST_DELIVERY_PER_HOST="9")
    assert (settings.delivery.jitter, settings.delivery.per_host) == (0.5, 9)


def test_the_process_environment_and_the_current_folder_are_read_unless_others_are_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in os.environ if name.startswith("TELEFONIST_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("TELEFONIST_PORT", "4711")
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text("TELEFONIST_GRACE=7")
    settings = load_settings()
    assert (settings.port, settings.grace, settings.data_dir) == (4711, 7, tmp_path / "data")
    assert "TELEFONIST_GRACE" not in os.environ


def test_a_dotenv_value_keeps_its_dollar_signs_and_loses_quotes_and_comments(folder: Folder) -> None:
    dotenv = "export TELEFONIST_SECRET='$HOME${x}$$-0123456789abcdef0123456789'\nTELEFONIST_PORT=81 # a comment\n"
    settings = folder.start(dotenv=dotenv)
    assert settings.secret == "$HOME${x}$$-0123456789abcdef0123456789"
    assert settings.port == 81


def test_a_dotenv_saved_on_windows_is_read(folder: Folder) -> None:
    (folder.path / ".env").write_bytes(b"\xef\xbb\xbfTELEFONIST_PORT=81\r\nTELEFONIST_GRACE=3\r\n")
    settings = folder.start()
    assert (settings.port, settings.grace) == (81, 3)


def test_an_empty_value_counts_as_unset(folder: Folder) -> None:
    settings = folder.start(dotenv="TELEFONIST_GRACE=\nOPENAI_API_KEY=", TELEFONIST_PORT="", TELEFONIST_HOST="  ")
    assert (settings.port, settings.host, settings.grace) == (8080, "127.0.0.1", 20)
    assert settings.default_model == "demo"


def test_the_word_none_empties_a_list_that_the_file_fills(folder: Folder) -> None:
    toml = "trusted_proxies = ['10.0.0.0/8']\n[delivery]\nretry_schedule = [1, 2]"
    settings = folder.start(toml, TELEFONIST_TRUSTED_PROXIES="none", TELEFONIST_DELIVERY_RETRY_SCHEDULE="none")
    assert settings.trusted_proxies == ()
    assert settings.delivery.retry_schedule == ()


def test_a_value_can_come_from_a_file(folder: Folder) -> None:
    file = folder.write("key", "  sk-from-a-file\n")
    folder.write("prompt.txt", "Be kind.\nBe brief.\n")
    settings = folder.start(OPENAI_API_KEY_FILE=str(file), TELEFONIST_SYSTEM_PROMPT_FILE="prompt.txt")
    assert {provider.name: provider.api_key for provider in settings.providers}["openai"] == "sk-from-a-file"
    assert settings.system_prompt == "Be kind.\nBe brief."


def test_a_file_named_in_the_environment_beats_the_value_in_dotenv(folder: Folder) -> None:
    folder.write("port", "82")
    assert folder.start(dotenv="TELEFONIST_PORT=81", TELEFONIST_PORT_FILE="port").port == 82


def test_a_value_and_its_file_at_once_stop_the_start(folder: Folder) -> None:
    text = folder.refusal(OPENAI_API_KEY="sk-hidden", OPENAI_API_KEY_FILE="key")
    assert "OPENAI_API_KEY and OPENAI_API_KEY_FILE are both set in the environment: keep one" in text
    assert "sk-hidden" not in text


@pytest.mark.parametrize(
    ("content", "complaint"),
    [(None, "cannot be read (No such file or directory)"), (b" \n", "is empty"), (b"\xff\xfe", "is not UTF-8 text")],
)
def test_a_secret_file_that_is_of_no_use_stops_the_start(folder: Folder, content: bytes | None, complaint: str) -> None:
    if content is not None:
        (folder.path / "key").write_bytes(content)
    text = folder.refusal(OPENAI_API_KEY_FILE="key")
    assert f"OPENAI_API_KEY_FILE names {folder.path / 'key'}, which {complaint}" in text


def test_a_file_of_another_name_is_read_where_the_environment_says_so(folder: Folder) -> None:
    folder.write("other.toml", "\ufeffport = 5")
    folder.write("telefonist.toml", "port = 6")
    settings = folder.start(TELEFONIST_CONFIG="other.toml")
    assert (settings.port, settings.config) == (5, folder.path / "other.toml")


def test_a_named_file_that_does_not_exist_stops_the_start(folder: Folder) -> None:
    text = folder.refusal(TELEFONIST_CONFIG="other.toml")
    assert f"TELEFONIST_CONFIG in the environment: {folder.path / 'other.toml'} does not exist; mend the path" in text


@pytest.mark.parametrize("name", [".env", "telefonist.toml"])
def test_a_folder_or_a_foreign_encoding_in_place_of_a_file_stops_the_start(folder: Folder, name: str) -> None:
    (folder.path / name).write_bytes("port = 1".encode("utf-16"))
    assert f"{folder.path / name} is not UTF-8 text: save it as UTF-8" in folder.refusal()
    (folder.path / name).unlink()
    (folder.path / name).mkdir()
    assert f"{folder.path / name} cannot be read (Is a directory)" in folder.refusal()


def test_relative_paths_start_from_the_folder_and_a_tilde_is_the_home(folder: Folder) -> None:
    assert folder.start(TELEFONIST_DATA_DIR="x/y").data_dir == folder.path / "x/y"
    assert folder.start(TELEFONIST_DATA_DIR="~/y").data_dir == Path("~/y").expanduser()
    assert folder.start(TELEFONIST_DATA_DIR="/srv/y").data_dir == Path("/srv/y")
