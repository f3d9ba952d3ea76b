"""What each method of the Bot API does to a fake Telegram: https://core.telegram.org/bots/api."""

import re
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.fakes.telegram_rules import (
    LONGEST_ANSWER,
    LONGEST_CAPTION,
    LONGEST_TOPIC,
    Refused,
    bad_request,
    check_entities,
    check_markup,
    check_text,
    integer,
    truth,
    utf16,
)

if TYPE_CHECKING:
    from tests.fakes.telegram import Chat, FakeTelegram


@dataclass
class Call:
    """One call that the bot made."""

    method: str
    parameters: Mapping[str, Any]
    at: float
    result: Any = None


async def get_me(telegram: "FakeTelegram", call: Call) -> Any:
    return telegram.me


async def get_updates(telegram: "FakeTelegram", call: Call) -> Any:
    given = call.parameters
    allowed = tuple(given["allowed_updates"]) if "allowed_updates" in given else None
    limit = integer(given, "limit", 100)
    if not 1 <= limit <= 100:
        raise bad_request("limit must be from 1 to 100")
    return await telegram.next_updates(integer(given, "offset", 0), limit, integer(given, "timeout", 0), allowed)


async def set_webhook(telegram: "FakeTelegram", call: Call) -> Any:
    given, webhook = call.parameters, telegram.webhook
    url, secret = str(given.get("url", "")), str(given.get("secret_token", ""))
    if not url.startswith(("https://", "http://127.0.0.1:", "http://localhost:")):
        raise bad_request("bad webhook: An HTTPS URL must be provided for webhook")
    if secret and not re.fullmatch(r"[A-Za-z0-9_-]{1,256}", secret):
        raise bad_request("secret token contains unallowed characters")
    if "allowed_updates" in given:
        webhook.allowed = tuple(given["allowed_updates"])
    webhook.url, webhook.secret, webhook.last_error = url, secret, ""
    if truth(given, "drop_pending_updates"):
        telegram.waiting.clear()
    return True


async def delete_webhook(telegram: "FakeTelegram", call: Call) -> Any:
    telegram.webhook.url = telegram.webhook.secret = ""
    if truth(call.parameters, "drop_pending_updates"):
        telegram.waiting.clear()
    return True


async def get_webhook_info(telegram: "FakeTelegram", call: Call) -> Any:
    webhook = telegram.webhook
    told = {
        "url": webhook.url,
        "has_custom_certificate": False,
        "pending_update_count": len(telegram.waiting),
        "allowed_updates": list(webhook.allowed),
    }
    if webhook.last_error:
        told |= {"last_error_message": webhook.last_error, "last_error_date": int(time.time())}
    return told


async def send_message(telegram: "FakeTelegram", call: Call) -> Any:
    given = call.parameters
    if "parse_mode" in given and "entities" in given:
        raise bad_request("parse_mode and entities exclude each other")
    text = check_text(given.get("text"), given.get("entities"))
    return _sent(telegram, given, {"text": text, **_if_given(given, "entities")})


async def send_photo(telegram: "FakeTelegram", call: Call) -> Any:
    size = {"file_id": _file(call, "photo"), "file_unique_id": "u", "width": 90, "height": 90}
    return _sent(telegram, call.parameters, {"photo": [size], **_caption(call.parameters)})


async def send_document(telegram: "FakeTelegram", call: Call) -> Any:
    document = {"file_id": _file(call, "document"), "file_unique_id": "d"}
    return _sent(telegram, call.parameters, {"document": document, **_caption(call.parameters)})


async def send_voice(telegram: "FakeTelegram", call: Call) -> Any:
    voice = {"file_id": _file(call, "voice"), "file_unique_id": "v", "duration": 3}
    return _sent(telegram, call.parameters, {"voice": voice, **_caption(call.parameters)})


async def copy_message(telegram: "FakeTelegram", call: Call) -> Any:
    given = call.parameters
    source = telegram.chats.get(integer(given, "from_chat_id"))
    original = source.messages.get(integer(given, "message_id")) if source else None
    if original is None:
        raise bad_request("message to copy not found")
    content = {name: value for name, value in original.items() if name in CONTENT}
    return {"message_id": _sent(telegram, given, content)["message_id"]}


async def edit_message_text(telegram: "FakeTelegram", call: Call) -> Any:
    given = call.parameters
    message = _own(telegram, given, "edited")
    text = check_text(given.get("text"), given.get("entities"))
    check_markup(given.get("reply_markup"))
    changed = {"text": text, **_if_given(given, "entities"), **_if_given(given, "reply_markup")}
    kept = {name: message.get(name) for name in ("text", "entities", "reply_markup") if name in message}
    if changed == kept:
        raise bad_request(
            "message is not modified: specified new message content and reply markup are exactly the same"
        )
    for name in ("entities", "reply_markup"):
        message.pop(name, None)
    message.update(changed, edit_date=int(time.time()))
    return message


async def edit_message_reply_markup(telegram: "FakeTelegram", call: Call) -> Any:
    message = _own(telegram, call.parameters, "edited")
    markup = call.parameters.get("reply_markup")
    check_markup(markup)
    if message.get("reply_markup") == markup:
        raise bad_request(
            "message is not modified: specified new message content and reply markup are exactly the same"
        )
    message.pop("reply_markup", None)
    message.update(_if_given(call.parameters, "reply_markup"))
    return message


async def delete_message(telegram: "FakeTelegram", call: Call) -> Any:
    message = _own(telegram, call.parameters, "deleted")
    del telegram.chats[message["chat"]["id"]].messages[message["message_id"]]
    return True


async def send_chat_action(telegram: "FakeTelegram", call: Call) -> Any:
    action = call.parameters.get("action")
    if action not in ("typing", "upload_photo", "upload_document", "record_voice", "upload_voice"):
        raise bad_request("wrong parameter action in request")
    _open_chat(telegram, call.parameters).actions.append(str(action))
    return True


async def send_message_draft(telegram: "FakeTelegram", call: Call) -> Any:
    given = call.parameters
    chat = _open_chat(telegram, given)
    if chat.type != "private":
        raise bad_request("TEXTDRAFT_PEER_INVALID")
    if integer(given, "draft_id") == 0:
        raise bad_request("draft_id must be non-zero")
    text = given.get("text", "")
    if utf16(text) > 4096:
        raise bad_request("message is too long")
    check_entities(text, given.get("entities") or [])
    chat.drafts.append({"draft_id": integer(given, "draft_id"), "text": text})
    return True


async def answer_callback_query(telegram: "FakeTelegram", call: Call) -> Any:
    given = call.parameters
    query_id = str(given.get("callback_query_id", ""))
    if query_id not in telegram.queries or telegram.queries[query_id] is not None:
        raise bad_request("query is too old and response timeout expired or query ID is invalid")
    if utf16(str(given.get("text", ""))) > LONGEST_ANSWER:
        raise bad_request("MESSAGE_TOO_LONG")
    telegram.queries[query_id] = dict(given)
    return True


async def get_file(telegram: "FakeTelegram", call: Call) -> Any:
    file_id = str(call.parameters.get("file_id", ""))
    path = f"files/{file_id}"
    if path not in telegram.files:
        raise bad_request("invalid file_id")
    content = telegram.files[path]
    if len(content) > 20 * 1024 * 1024:
        raise bad_request("file is too big")
    return {"file_id": file_id, "file_unique_id": "u", "file_size": len(content), "file_path": path}


async def set_my_commands(telegram: "FakeTelegram", call: Call) -> Any:
    commands = call.parameters.get("commands")
    if not isinstance(commands, list):
        raise bad_request("can't parse commands JSON object")
    for command in commands:
        if not re.fullmatch(r"[a-z0-9_]{1,32}", command["command"]) or not 1 <= len(command["description"]) <= 256:
            raise bad_request("BOT_COMMAND_INVALID")
    telegram.commands[str(call.parameters.get("language_code", ""))] = commands
    return True


async def create_forum_topic(telegram: "FakeTelegram", call: Call) -> Any:
    chat = _forum(telegram, call.parameters)
    name = str(call.parameters.get("name", ""))
    if not 1 <= len(name) <= LONGEST_TOPIC:
        raise bad_request("TOPIC_TITLE_EMPTY")
    thread = chat.next_id()
    chat.topics[thread] = {"name": name, "closed": False}
    return {"message_thread_id": thread, "name": name, "icon_color": 7322096}


async def edit_forum_topic(telegram: "FakeTelegram", call: Call) -> Any:
    topic = _topic(telegram, call.parameters)
    if topic["name"] == call.parameters.get("name"):
        raise bad_request("TOPIC_NOT_MODIFIED")
    topic["name"] = call.parameters.get("name")
    return True


async def close_forum_topic(telegram: "FakeTelegram", call: Call) -> Any:
    return _open_or_close(telegram, call, closed=True)


async def reopen_forum_topic(telegram: "FakeTelegram", call: Call) -> Any:
    return _open_or_close(telegram, call, closed=False)


async def get_chat_member(telegram: "FakeTelegram", call: Call) -> Any:
    chat = _chat(telegram, call.parameters)
    user_id = integer(call.parameters, "user_id")
    if user_id == telegram.me["id"]:
        rights = (
            "can_be_edited", "is_anonymous", "can_manage_chat", "can_delete_messages", "can_manage_video_chats",
            "can_restrict_members", "can_promote_members", "can_change_info", "can_invite_users", "can_post_stories",
            "can_edit_stories", "can_delete_stories",
        )  # fmt: skip
        return {
            "status": "administrator", "user": telegram.me, **dict.fromkeys(rights, False),
            "can_manage_topics": chat.bot_manages_topics,
        }  # fmt: skip
    return {"status": "member", "user": {"id": user_id, "is_bot": False, "first_name": "Member"}}


def _open_or_close(telegram: "FakeTelegram", call: Call, *, closed: bool) -> bool:
    topic = _topic(telegram, call.parameters)
    if topic["closed"] is closed:
        raise bad_request("TOPIC_NOT_MODIFIED")
    topic["closed"] = closed
    return True


def _chat(telegram: "FakeTelegram", given: Mapping[str, Any]) -> "Chat":
    chat = telegram.chats.get(integer(given, "chat_id"))
    if chat is None:
        raise bad_request("chat not found")
    if chat.migrated_to is not None:
        why = "Bad Request: group chat was upgraded to a supergroup chat"
        raise Refused(400, why, migrate_to_chat_id=chat.migrated_to)
    return chat


def _open_chat(telegram: "FakeTelegram", given: Mapping[str, Any]) -> "Chat":
    chat = _chat(telegram, given)
    if chat.blocked:
        raise Refused(403, "Forbidden: bot was blocked by the user")
    thread = given.get("message_thread_id")
    if thread is not None and int(thread) not in chat.topics:
        raise bad_request("message thread not found")
    if thread is not None and chat.topics[int(thread)]["closed"]:
        raise bad_request("TOPIC_CLOSED")
    return chat


def _forum(telegram: "FakeTelegram", given: Mapping[str, Any]) -> "Chat":
    chat = _chat(telegram, given)
    if not chat.is_forum:
        raise bad_request("the chat is not a forum")
    if not chat.bot_manages_topics:
        raise bad_request("not enough rights to create a topic")
    return chat


def _topic(telegram: "FakeTelegram", given: Mapping[str, Any]) -> dict[str, Any]:
    topic = _forum(telegram, given).topics.get(integer(given, "message_thread_id"))
    if topic is None:
        raise bad_request("message thread not found")
    return topic


def _sent(telegram: "FakeTelegram", given: Mapping[str, Any], content: Mapping[str, Any]) -> dict[str, Any]:
    chat = _open_chat(telegram, given)
    check_markup(given.get("reply_markup"))
    answered = (given.get("reply_parameters") or {}).get("message_id")
    if (
        answered is not None
        and answered not in chat.messages
        and not given["reply_parameters"].get("allow_sending_without_reply")
    ):
        raise bad_request("message to be replied not found")
    message: dict[str, Any] = {
        "message_id": chat.next_id(), "date": int(time.time()), "chat": chat.shown, "from": telegram.me, **content,
    }  # fmt: skip
    if isinstance(given.get("reply_markup"), dict) and "inline_keyboard" in given["reply_markup"]:
        message["reply_markup"] = given["reply_markup"]
    if given.get("message_thread_id") is not None:
        message |= {"message_thread_id": int(given["message_thread_id"]), "is_topic_message": True}
    if answered in chat.messages:
        message["reply_to_message"] = chat.messages[answered]
    chat.messages[message["message_id"]] = message
    return message


def _own(telegram: "FakeTelegram", given: Mapping[str, Any], done: str) -> dict[str, Any]:
    chat = _chat(telegram, given)
    message = chat.messages.get(integer(given, "message_id"))
    if message is None:
        raise bad_request(f"message to be {done} not found")
    if message["from"]["id"] != telegram.me["id"]:
        raise bad_request(f"message can't be {done}")
    return message


def _file(call: Call, name: str) -> str:
    value = call.parameters.get(name)
    if isinstance(value, bytes):
        return f"uploaded-{name}"
    if not value:
        raise bad_request(f"there is no {name} in the request")
    return str(value)


def _caption(given: Mapping[str, Any]) -> dict[str, Any]:
    if not given.get("caption"):
        return {}
    check_text(given["caption"], given.get("caption_entities"), LONGEST_CAPTION, what="message caption")
    return {"caption": given["caption"], **_if_given(given, "caption_entities")}


def _if_given(given: Mapping[str, Any], name: str) -> dict[str, Any]:
    return {name: given[name]} if given.get(name) else {}


CONTENT = ("text", "entities", "photo", "document", "voice", "caption", "caption_entities")
SENDING = {
    "chat_id", "message_thread_id", "reply_markup", "reply_parameters", "disable_notification", "protect_content",
}  # fmt: skip
CAPTION = {"caption", "caption_entities"}
TOPIC = {"chat_id", "message_thread_id"}

Method = Callable[["FakeTelegram", Call], Awaitable[Any]]

METHODS: dict[str, tuple[set[str], Method]] = {
    "getMe": (set(), get_me),
    "getUpdates": ({"offset", "limit", "timeout", "allowed_updates"}, get_updates),
    "setWebhook": (
        {"url", "secret_token", "allowed_updates", "max_connections", "drop_pending_updates"},
        set_webhook,
    ),
    "deleteWebhook": ({"drop_pending_updates"}, delete_webhook),
    "getWebhookInfo": (set(), get_webhook_info),
    "sendMessage": (SENDING | {"text", "parse_mode", "entities", "link_preview_options"}, send_message),
    "sendPhoto": (SENDING | CAPTION | {"photo"}, send_photo),
    "sendDocument": (SENDING | CAPTION | {"document"}, send_document),
    "sendVoice": (SENDING | CAPTION | {"voice"}, send_voice),
    "copyMessage": (SENDING | CAPTION | {"from_chat_id", "message_id"}, copy_message),
    "editMessageText": (
        {"chat_id", "message_id", "text", "parse_mode", "entities", "reply_markup", "link_preview_options"},
        edit_message_text,
    ),
    "editMessageReplyMarkup": ({"chat_id", "message_id", "reply_markup"}, edit_message_reply_markup),
    "deleteMessage": ({"chat_id", "message_id"}, delete_message),
    "sendChatAction": ({"chat_id", "message_thread_id", "action"}, send_chat_action),
    "sendMessageDraft": (
        {"chat_id", "message_thread_id", "draft_id", "text", "parse_mode", "entities"},
        send_message_draft,
    ),
    "answerCallbackQuery": ({"callback_query_id", "text", "show_alert", "cache_time"}, answer_callback_query),
    "getFile": ({"file_id"}, get_file),
    "setMyCommands": ({"commands", "scope", "language_code"}, set_my_commands),
    "createForumTopic": ({"chat_id", "name", "icon_color", "icon_custom_emoji_id"}, create_forum_topic),
    "editForumTopic": (TOPIC | {"name", "icon_custom_emoji_id"}, edit_forum_topic),
    "closeForumTopic": (TOPIC, close_forum_topic),
    "reopenForumTopic": (TOPIC, reopen_forum_topic),
    "getChatMember": ({"chat_id", "user_id"}, get_chat_member),
}
