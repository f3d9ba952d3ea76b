"""What the core asks of a provider."""

from collections.abc import AsyncGenerator
from typing import Protocol

from telefonist.types import ChatRequest, Completion, Delta


class Provider(Protocol):
    """An upstream that answers chats, behind one interface for every wire protocol.

    Both calls raise a ``ProviderError`` and nothing else; cancelling the task that awaits them closes the upstream
    connection at once. They make one try: repeating and falling back are the core's to decide.
    """

    @property
    def name(self) -> str: ...

    async def complete(self, request: ChatRequest) -> Completion:
        """Give the whole answer."""
        ...

    def stream(self, request: ChatRequest) -> AsyncGenerator[Delta, None]:
        """Give the answer as it is written; the first item arrives only after the upstream accepted the request.

        Whoever may stop before the end wraps it in ``contextlib.aclosing``: that closes the upstream connection.
        """
        ...

    async def aclose(self) -> None:
        """Let go of connections."""
        ...
