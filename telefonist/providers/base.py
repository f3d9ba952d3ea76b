"""What the core asks of a provider, and what a provider asks of the house."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from typing import Literal, Protocol

from telefonist.types import ChatRequest, Completion, Delta, EmbeddingRequest, Embeddings, Token


class Provider(Protocol):
    """An upstream that answers chats and makes embeddings, behind one interface for every wire protocol.

    All calls raise a ``ProviderError`` and nothing else; cancelling the task that awaits them closes the upstream
    connection at once. They make one try: repeating and falling back are the core's to decide.
    """

    @property
    def name(self) -> str: ...

    @property
    def on_disconnect(self) -> Literal["cancel", "drain"]:
        """Say what to do with an answer whose client has left (``ProviderConfig.on_disconnect``)."""
        ...

    async def complete(self, request: ChatRequest) -> Completion:
        """Give the whole answer."""
        ...

    def stream(self, request: ChatRequest) -> AsyncGenerator[Sequence[Delta], None]:
        """Give the answer as it is written: deltas that arrived together come together, at least one at a time.

        The first come only after the upstream accepted the request, and what came before an error is given before it
        is raised. Nothing that was given is kept. Whoever may stop before the end wraps it in ``contextlib.aclosing``:
        that closes the upstream connection.
        """
        ...

    async def embed(self, request: EmbeddingRequest) -> Embeddings:
        """Give the vectors of texts; raises ProviderRejectedRequest where the upstream makes none."""
        ...

    async def aclose(self) -> None:
        """Let go of connections."""
        ...


class Tokens(Protocol):
    """Keeps the tokens that providers hand out; the memory of the house does, since what it holds may expire."""

    async def token(self, name: str, fetch: Callable[[], Awaitable[Token]]) -> Token:
        """Give the token of that name while it lives for a minute more, else what ``fetch`` gives.

        However many ask at once, in all processes that share the memory, one fetches.
        """
        ...

    async def invalidate(self, name: str, value: str) -> None:
        """Forget the token if it still has that value, which the provider refused."""
        ...


class Slots(Protocol):
    """Counts what a key has open at once, in all processes that share the memory of the house."""

    async def enter(self, key: str, limit: int) -> str | None:
        """Give a ticket, or None when as many as ``limit`` are inside; raises Unavailable where nobody can count."""
        ...

    async def leave(self, key: str, ticket: str) -> None:
        """Give the ticket back; never fails, and is done even when the caller is cancelled."""
        ...
