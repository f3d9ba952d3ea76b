"""The Telegram bot: its token, how updates come, and what it says."""

from typing import Annotated

from pydantic import Field

from telefonist.settings.declaration import Setting, Table
from telefonist.settings.values import BaseUrl, Integer
from telefonist.types import Language

A_TEXT = "a text"


class TelegramSettings(Table):
    """One bot. With the token alone the service asks Telegram for updates; with a secret, Telegram sends them."""

    bot_token: Annotated[
        str | None,
        Field(pattern=r"^[0-9]{1,20}:[A-Za-z0-9_-]{10,100}$"),
        Setting("a token as @BotFather gives it", "...", "TELEGRAM_BOT_TOKEN", in_file=False, secret=True),
    ] = None
    webhook_secret: Annotated[
        str | None,
        Field(pattern=r"^[A-Za-z0-9_-]{16,256}$"),
        Setting(
            "16 to 256 letters, digits, '_' and '-', as 'openssl rand -hex 32' makes them",
            "...",
            "TELEGRAM_WEBHOOK_SECRET",
            in_file=False,
            secret=True,
        ),
    ] = None
    """What Telegram shows with every update; None: updates are asked for."""
    api_base: Annotated[
        BaseUrl, Setting("an http:// or https:// URL", "https://api.telegram.org", "TELEGRAM_API_BASE")
    ] = "https://api.telegram.org"
    """Another one for a Bot API server of one's own."""
    operator_group_id: Annotated[
        Integer | None,
        Field(lt=0),
        Setting("the id of a group, a number below 0", -1001234567890, "TELEGRAM_OPERATOR_GROUP_ID"),
    ] = None
    """The group with topics in which operators answer."""
    system_prompt: Annotated[str | None, Setting(A_TEXT, "Answer briefly.", "TELEFONIST_TELEGRAM_SYSTEM_PROMPT")] = None
    """None: as everywhere else; an empty text, which only the file can give: none in Telegram."""
    welcome_ru: Annotated[str, Setting(A_TEXT, "Здравствуйте!", "TELEFONIST_TELEGRAM_WELCOME_RU")] = ""
    """What /start answers; empty: the service's own words."""
    welcome_en: Annotated[str, Setting(A_TEXT, "Hello!", "TELEFONIST_TELEGRAM_WELCOME_EN")] = ""
    help_ru: Annotated[str, Setting(A_TEXT, "Спросите о заказе.", "TELEFONIST_TELEGRAM_HELP_RU")] = ""
    """What /help answers; empty: the service's own words."""
    help_en: Annotated[str, Setting(A_TEXT, "Ask about your order.", "TELEFONIST_TELEGRAM_HELP_EN")] = ""

    @property
    def own_texts(self) -> dict[tuple[str, Language], str]:
        """Give what replaces the service's own words, by text and language."""
        return {
            ("welcome", "ru"): self.welcome_ru,
            ("welcome", "en"): self.welcome_en,
            ("help", "ru"): self.help_ru,
            ("help", "en"): self.help_en,
        }
