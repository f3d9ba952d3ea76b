"""API keys: made, shown once, listed and revoked."""

import secrets
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from uuid import UUID

from telefonist.core.catalog import Catalog
from telefonist.core.identification import KEY_PREFIX, Identification, key_digest
from telefonist.errors import FieldProblem, InvalidInput, NotFound
from telefonist.storage.api_keys import ApiKeyStore
from telefonist.types import ApiKey, KeyTerms, utc_now

RANDOM_BYTES = 32


class ApiKeys:
    """What an account does with its keys."""

    def __init__(self, store: ApiKeyStore, catalog: Catalog, identification: Identification) -> None:
        self._store = store
        self._catalog = catalog
        self._identification = identification

    async def create(
        self, account_id: UUID, name: str, terms: KeyTerms, expires_at: datetime | None
    ) -> tuple[ApiKey, str]:
        """Make a key; gives it as it is listed, and the key itself, which nobody can show again.

        ``terms`` may name models by their aliases. Raises InvalidInput for an unknown model and for an end that is past
        already, Conflict past the number of keys that one account may have, and Unavailable.
        """
        if expires_at is not None and expires_at <= utc_now():
            raise InvalidInput([FieldProblem("in_the_past", ("body", "expires_at"), "Give a time to come.")])
        if terms.models is not None:
            terms = replace(terms, models=self._names(terms.models))
        key = KEY_PREFIX + secrets.token_urlsafe(RANDOM_BYTES)
        made = await self._store.create(account_id, name, key_digest(key), _hint(key), terms, expires_at)
        return made, key

    async def of_account(self, account_id: UUID) -> Sequence[ApiKey]:
        """List an account's keys, the newest first."""
        return await self._store.of_account(account_id)

    async def revoke(self, account_id: UUID, key_id: UUID) -> None:
        """End a key for good, here at once and elsewhere within five seconds; raises NotFound."""
        if not await self._store.revoke(account_id, key_id):
            raise NotFound("key_not_found", key_id=key_id)
        self._identification.forget(account_id)

    def _names(self, asked: Sequence[str]) -> tuple[str, ...]:
        names, problems = [], []
        for position, name in enumerate(asked):
            try:
                names.append(self._catalog.find(name).name)
            except NotFound as error:
                problems.append(FieldProblem("model_not_found", ("body", "models", position), str(error), name))
        if problems:
            raise InvalidInput(problems)
        return tuple(dict.fromkeys(names))


def _hint(key: str) -> str:
    return f"{key[:7]}…{key[-4:]}"
