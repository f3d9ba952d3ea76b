"""What Telegram brings, in our own words: who wrote what, and where."""

from dataclasses import dataclass

from telefonist.types.values import Language


@dataclass(frozen=True, slots=True)
class TelegramPlace:
    """A chat, or a topic in one; ids have up to 52 bits, and groups' are negative."""

    chat_id: int
    thread_id: int = 0

    @property
    def external_id(self) -> str:
        """Name the conversation: ``<chat>`` or ``<chat>:<thread>``."""
        return f"{self.chat_id}:{self.thread_id}" if self.thread_id else str(self.chat_id)

    @property
    def url(self) -> str:
        """Name the destination of messages."""
        return f"telegram:{self.external_id}"

    @classmethod
    def of(cls, url: str) -> "TelegramPlace":
        """Read a destination; raises ValueError for another one."""
        scheme, _, rest = url.partition(":")
        if scheme != "telegram":
            raise ValueError("this is no destination in Telegram")
        chat, _, thread = rest.partition(":")
        return cls(int(chat), int(thread or 0))


@dataclass(frozen=True, slots=True)
class TelegramPerson:
    """Somebody with a Telegram account."""

    id: int
    name: str
    username: str | None = None
    language: Language | None = None
    """Of their Telegram; None where it does not say."""
    is_bot: bool = False


@dataclass(frozen=True, slots=True)
class TelegramMedia:
    """A file in a message; Telegram gives it out by its id, to this bot alone."""

    kind: str
    """``photo``, ``voice``, ``document``..., as the field of the message is called."""
    file_id: str
    name: str | None = None
    size: int | None = None


@dataclass(frozen=True, slots=True)
class TelegramMessage:
    """A message, or its newer version."""

    place: TelegramPlace
    telegram_id: int
    is_private: bool
    sender: TelegramPerson
    text: str
    """What is written: a text, or what stands below a file."""
    media: TelegramMedia | None = None
    album: str | None = None
    """What the files of one album have in common."""
    answers: int | None = None
    """The message that it replies to."""
    answers_person: int | None = None
    """Who wrote that."""
    is_anonymous: bool = False
    """An administrator who writes in a group's name: nobody knows who."""
    is_edited: bool = False
    migrated_to: int | None = None
    """The group has become another one, with this id."""
    is_service: bool = False
    """Telegram says that something happened in the chat; nobody wrote."""


@dataclass(frozen=True, slots=True)
class TelegramPress:
    """A button below one of the bot's messages was pressed."""

    place: TelegramPlace
    query_id: str
    sender: TelegramPerson
    telegram_id: int
    """The message with the button."""
    data: str
    is_private: bool


@dataclass(frozen=True, slots=True)
class TelegramMembership:
    """The bot was let into a chat, or shut out of it."""

    place: TelegramPlace
    sender: TelegramPerson
    is_member: bool
    is_private: bool


TelegramEvent = TelegramMessage | TelegramPress | TelegramMembership
