"""The secret that the service makes for itself."""

import os
import stat
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest

from telefonist.errors import ConfigurationError
from telefonist.settings import read_or_make_secret


def test_the_secret_is_made_once_and_stays(tmp_path: Path) -> None:
    secret = read_or_make_secret(tmp_path / "deep" / "data")
    assert len(secret) == 64
    assert read_or_make_secret(tmp_path / "deep" / "data") == secret
    assert read_or_make_secret(tmp_path / "other") != secret


def test_only_the_owner_reads_the_secret_and_nothing_else_is_left(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        read_or_make_secret(tmp_path)
    finally:
        os.umask(before)
    assert [file.name for file in tmp_path.iterdir()] == ["secret"]
    assert stat.S_IMODE((tmp_path / "secret").stat().st_mode) == 0o600


def test_processes_that_start_at_once_agree_on_one_secret(tmp_path: Path) -> None:
    with ProcessPoolExecutor(4, mp_context=get_context("spawn")) as processes:
        for round_ in range(5):
            made = set(processes.map(read_or_make_secret, [tmp_path / str(round_)] * 8))
            assert len(made) == 1
            assert [file.name for file in (tmp_path / str(round_)).iterdir()] == ["secret"]


@pytest.mark.parametrize("content", [b"", b" \n", b"\xff\xfe"])
def test_a_spoilt_secret_is_never_replaced(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "secret").write_bytes(content)
    with pytest.raises(ConfigurationError, match="holds no secret: bring it back from a backup"):
        read_or_make_secret(tmp_path)
    assert (tmp_path / "secret").read_bytes() == content


def test_a_data_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file")
    with pytest.raises(ConfigurationError) as refused:
        read_or_make_secret(tmp_path / "data")
    assert f"cannot be kept in {tmp_path / 'data' / 'secret'}" in str(refused.value)
    assert "TELEFONIST_DATA_DIR" in str(refused.value)
