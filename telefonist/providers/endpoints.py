"""Where requests go, and the headers that all of them carry, as a provider's row says it."""

from multidict import CIMultiDict
from yarl import URL

from telefonist import __version__
from telefonist.errors import ConfigurationError
from telefonist.types import ProviderConfig

_CHAT_PATH = "/chat/completions"


def chat_and_embeddings(config: ProviderConfig) -> tuple[URL, URL | None]:
    """Give where chats and embeddings are asked for; None where the row does not tell where embeddings are.

    Raises ConfigurationError for an address that nothing can be sent to.
    """
    base = config.base_url.rstrip("/")
    embeddings = checked_address(config, "base_url", base + "/embeddings") if base else None
    if not config.chat_url:
        return checked_address(config, "base_url", base + _CHAT_PATH), embeddings
    chat = checked_address(config, "chat_url", config.chat_url)
    if embeddings is None and chat.raw_path.endswith(_CHAT_PATH):
        path = chat.raw_path.removesuffix(_CHAT_PATH) + "/embeddings"
        embeddings = chat.with_path(path, encoded=True, keep_query=True)
    return chat, embeddings


def checked_address(config: ProviderConfig, setting: str, address: str) -> URL:
    """Parse the address that ``setting`` gives; raises ConfigurationError for one that nothing can be sent to."""
    try:
        url = URL(address)
    except ValueError:
        url = URL()
    if url.scheme not in ("http", "https") or not url.host:
        raise ConfigurationError(
            f"providers.{config.name}.{setting}: not an http(s) address. Give one such as https://api.openai.com/v1."
        )
    if url.user is not None or url.password is not None:
        raise ConfigurationError(
            f"providers.{config.name}.{setting}: a user name or password in the address is not supported. "
            "Use api_key or headers."
        )
    return url


def checked_headers(
    config: ProviderConfig, authorization: str = "", content_type: str = "application/json"
) -> CIMultiDict[str]:
    """Give the headers of every request, those of the row above ours.

    Asks for no compression: events should arrive as they are written. Raises ConfigurationError for a value that no
    header may hold.
    """
    headers = CIMultiDict(
        {"Content-Type": content_type, "Accept-Encoding": "identity", "User-Agent": f"telefonist/{__version__}"}
    )
    if authorization:
        headers["Authorization"] = authorization
    headers.update(config.headers)
    for name, value in headers.items():
        if not f"{name}{value}".isprintable() or not f"{name}{value}".isascii():
            setting = "api_key" if name == "Authorization" else f"headers.{name!r}"
            raise ConfigurationError(
                f"providers.{config.name}.{setting}: holds a line break or a character that no header may hold."
            )
    return headers
