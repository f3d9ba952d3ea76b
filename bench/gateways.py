"""Gateways for models: Telefonist, the bare reference, LiteLLM; and the upstream itself, behind none."""

import asyncio
import secrets
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from bench.measure import ROOT, Parts, tree
from bench.processes import SERVICE_CORE, Child, free_port
from bench.services import Telefonist
from bench.virtual_environments import VirtualEnvironment
from telefonist.core.identification import KEY_PREFIX, key_digest
from telefonist.storage.accounts import AccountStore
from telefonist.storage.api_keys import ApiKeyStore
from telefonist.storage.database import Database
from telefonist.storage.embedded import EmbeddedPostgres
from telefonist.types import KeyTerms

ACCOUNTS = 100
BALANCE = 10**15
"""Microcredits of each account: more than a run can spend."""

REFERENCE = ROOT / "bench" / "reference"
PYREQWEST_VENV = VirtualEnvironment(ROOT / "bench" / ".venv.reference", REFERENCE / "requirements.txt")
LITELLM_VENV = VirtualEnvironment(ROOT / "bench" / ".venv.litellm", ROOT / "bench" / "peers" / "litellm.txt")

SETTINGS = """\
default_model = "free"

[[providers]]
name = "bench"
kind = "openai"
base_url = "{model_url}"

[[models]]
name = "free"
provider = "bench"

[[models]]
name = "charged"
provider = "bench"
credits_per_1k_input = 0.5
credits_per_1k_output = 1.5
"""

LITELLM_SETTINGS = """\
model_list:
  - model_name: free
    litellm_params: {{model: openai/bench, api_base: "{model_url}", api_key: none}}
general_settings:
  master_key: {key}
"""


class Gateway(Protocol):
    """Something that answers chats on ``port``; ``model`` is what to ask it for, ``keys`` the file of keys."""

    name: str
    port: int
    model: str
    keys: Path | None

    def prepare(self) -> Mapping[str, str]:
        """Install and start it; gives the versions of what it is made of."""
        ...

    def parts(self) -> Parts:
        """Give its processes, by what they are to it; none where nothing of it is measured."""
        ...

    def stop(self) -> None:
        """Stop all of it."""
        ...


class OwnGateway:
    """Telefonist with accounts, each of which has a key and a large balance; ``model`` is ``charged``."""

    name = "Telefonist, charged"
    model = "charged"

    def __init__(self, folder: Path, model_url: str) -> None:
        folder.mkdir()
        self._service = Telefonist(folder, SETTINGS.format(model_url=model_url))
        self.port = self._service.port
        self.keys: Path | None = folder / "keys"

    def prepare(self) -> Mapping[str, str]:
        versions = self._service.prepare()
        self._service.start()
        keys = asyncio.run(open_accounts(self._service.data, ACCOUNTS))
        assert self.keys is not None
        self.keys.write_text("\n".join(keys))
        return versions

    def parts(self) -> Parts:
        return self._service.parts()

    def stop(self) -> None:
        self._service.stop()


class Free:
    """The same process, asked for a model without a price."""

    name = "Telefonist, free"
    model = "free"

    def __init__(self, own: OwnGateway) -> None:
        self._own = own
        self.port = own.port
        self.keys = own.keys

    def prepare(self) -> Mapping[str, str]:
        return {}

    def parts(self) -> Parts:
        return self._own.parts()

    def stop(self) -> None:
        """Nothing to stop: whoever started the process does."""


class OneProcess:
    """A gateway that is a process without a database."""

    model = "free"

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self.port = free_port()
        self.keys: Path | None = None
        self._folder = folder
        self._child: Child | None = None

    def parts(self) -> Parts:
        assert self._child is not None
        return {"web": tree(self._child.process)}

    def stop(self) -> None:
        if self._child is not None:
            self._child.stop()
            self._child = None

    def _run(self, command: Sequence[str | Path], ready: str | None = None, **variables: str) -> None:
        self._folder.mkdir()
        self._child = Child(command, core=SERVICE_CORE, folder=self._folder, log="gateway.log", variables=variables)
        self._child.wait_for(self.port, ready)


class Reference(OneProcess):
    """The bare gateway of ``bench/reference`` on uvicorn, with one of two HTTP clients."""

    def __init__(self, client: str, folder: Path, model_url: str) -> None:
        super().__init__(f"reference, {client}", folder)
        self._client = client
        self._model_url = model_url

    def prepare(self) -> Mapping[str, str]:
        python, versions = Path(sys.executable), {}
        if self._client == "pyreqwest":
            PYREQWEST_VENV.install()
            python, versions = PYREQWEST_VENV.programs / "python", dict(PYREQWEST_VENV.versions())
        self.keys = self._folder.with_suffix(".keys")
        self.keys.write_text("\n".join(_key() for _ in range(ACCOUNTS)))
        self._run(
            [
                python,
                "-m",
                "uvicorn",
                f"bench.reference.with_{self._client}:app",
                f"--port={self.port}",
                "--no-access-log",
            ],
            PYTHONPATH=str(ROOT),
            UPSTREAM=f"{self._model_url}/chat/completions",
            KEYS=str(self.keys),
        )
        return versions


class LiteLLM(OneProcess):
    """LiteLLM's proxy with one worker and a master key: charging would need a database of its own kind."""

    def __init__(self, folder: Path, model_url: str) -> None:
        super().__init__("LiteLLM, no charge", folder)
        self._model_url = model_url

    def prepare(self) -> Mapping[str, str]:
        LITELLM_VENV.install()
        self.keys, settings = self._folder.with_suffix(".keys"), self._folder.with_suffix(".yaml")
        key = f"sk-{secrets.token_urlsafe(32)}"
        self.keys.write_text(key)
        settings.write_text(LITELLM_SETTINGS.format(model_url=self._model_url, key=key))
        program = LITELLM_VENV.programs / "litellm"
        self._run(
            [program, f"--config={settings}", "--host=127.0.0.1", f"--port={self.port}", "--num_workers=1"],
            "/health/liveliness",
            LITELLM_LOG="ERROR",
            LITELLM_LOCAL_MODEL_COST_MAP="True",
        )
        return LITELLM_VENV.versions()


class Direct:
    """No gateway: what an answer takes on its own."""

    name = "no gateway"
    model = "free"
    keys: Path | None = None

    def __init__(self, port: int) -> None:
        self.port = port

    def prepare(self) -> Mapping[str, str]:
        return {}

    def parts(self) -> Parts:
        return {}

    def stop(self) -> None:
        """Nothing was started."""


async def open_accounts(data: Path, count: int) -> list[str]:
    """Make accounts with balances in the data folder of a running service; gives a key of each."""
    async with EmbeddedPostgres(data) as server:
        database = Database((await server.start()).dsn)
        accounts, store = AccountStore(database), ApiKeyStore(database)
        keys = [_key() for _ in range(count)]
        try:
            for number, key in enumerate(keys):
                account = await accounts.create(f"bench-{number}@example.org", "!", start=BALANCE, by_command=True)
                await store.create(account.id, "bench", key_digest(key), "", KeyTerms(), None)
        finally:
            await database.close()
    return keys


def _key() -> str:
    return KEY_PREFIX + secrets.token_urlsafe(32)
