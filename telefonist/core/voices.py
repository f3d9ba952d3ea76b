"""How a conversation is spoken to: what is said becomes messages of the channel that its destination names."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from telefonist.channels.callback_payload import callback_payload
from telefonist.channels.callback_url import host_of
from telefonist.types import Outgoing, Said, utc_now

TELEGRAM = "telegram"
"""The scheme of destinations in Telegram: ``telegram:<chat>`` or ``telegram:<chat>:<thread>``."""


class Voice(Protocol):
    """Writes what is said in the form in which one channel sends it."""

    def say(self, said: Said) -> Sequence[Outgoing]:
        """Give the messages to send, in order; none where this channel has nothing to show.

        The first has the ``message_id`` of what is said.
        """
        ...

    def host(self, callback_url: str) -> str:
        """Name the receiver by which deliveries are kept apart from those to others."""
        ...


class CallbackVoice:
    """Speaks to programs: one callback for whatever is said, also where it has no text."""

    def say(self, said: Said) -> Sequence[Outgoing]:
        """Write the callback."""
        body = callback_payload(
            task_id=said.task_id,
            message_id=said.message_id,
            conversation_id=said.external_id,
            status=said.status,
            text=said.text,
            author=said.author,
            model=said.model,
            usage=said.usage,
            failure=said.failure,
            metadata=said.metadata,
            created_at=utc_now(),
            final=said.final,
        )
        return (Outgoing(said.message_id, said.callback_url, body),)

    def host(self, callback_url: str) -> str:
        """Give the receiver's ``host:port``."""
        return host_of(callback_url)


class Voices:
    """Every way to speak, by the scheme of the destination."""

    def __init__(self, voices: Mapping[str, Voice]) -> None:
        self._voices = dict(voices)

    def say(self, said: Said) -> tuple[Outgoing, ...]:
        """Give the messages to send, in order; none for a conversation that is only read here (no destination)."""
        return tuple(self._of(said.callback_url).say(said)) if said.callback_url else ()

    def host(self, callback_url: str) -> str:
        """Name the receiver."""
        return self._of(callback_url).host(callback_url) if callback_url else ""

    def _of(self, callback_url: str) -> Voice:
        return self._voices[scheme_of(callback_url)]


def scheme_of(callback_url: str) -> str:
    """Tell the channel of a destination: ``https``, ``telegram``."""
    return callback_url.partition(":")[0].lower()


def callback_voices() -> Mapping[str, Voice]:
    """Give the voices that need nothing to be set up."""
    voice = CallbackVoice()
    return {"http": voice, "https": voice}
