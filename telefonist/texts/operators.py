"""What operators read who work in the private chat with the bot."""

from telefonist.types import Catalogue

TEXTS: Catalogue = {
    "operator_welcome": {
        "ru": "Вы теперь оператор. /online: на месте, будут приходить разговоры. Все команды: /help",
        "en": "You are an operator now. /online: you are there, conversations will come. All commands: /help",
    },
    "operator_invite_not_good": {
        "ru": "Это приглашение не подходит: его использовали, или прошли сутки. Попросите новое.",
        "en": "This invite is not good: it was used, or a day has passed. Ask for another one.",
    },
    "operator_invite_too_often": {
        "ru": "Слишком много попыток. Попробуйте завтра.",
        "en": "Too many tries. Try again tomorrow.",
    },
    "operator_invited": {
        "ru": "Приглашение для одного человека, действует 24 часа. Пусть отправит боту в личный чат:\n/start {code}",
        "en": "An invite for one person, good for 24 hours. They send this to the bot in their private chat:\n"
        "/start {code}",
    },
    "operator_may_not_invite": {
        "ru": "Приглашать операторов вам не разрешено.",
        "en": "You may not invite operators.",
    },
    "operator_help": {
        "ru": "Вы оператор. Возьмите разговор кнопкой под карточкой, дальше просто пишите: пользователь это увидит.\n\n"
        "/online: на месте\n"
        "/offline: не на месте\n"
        "/waiting: кто ждёт человека\n"
        "/switch: сменить разговор\n"
        "/note текст: заметка, её видят только операторы\n"
        "/tobot: вернуть разговор боту\n"
        "/done: завершить разговор",
        "en": "You are an operator. Take a conversation by the button below its card, then just write: the user will "
        "see it.\n\n"
        "/online: you are there\n"
        "/offline: you are away\n"
        "/waiting: who waits for a person\n"
        "/switch: change to another conversation\n"
        "/note text: a note that only operators see\n"
        "/tobot: give the conversation back to the bot\n"
        "/done: end the conversation",
    },
    "operator_no_dialog": {
        "ru": "Это никому не ушло: открытого разговора у вас сейчас нет. Команды: /help",
        "en": "This went to nobody: you have no conversation open right now. Commands: /help",
    },
    "operator_choose_dialog": {
        "ru": "Это никому не ушло. Выберите, кому писать:",
        "en": "This went to nobody. Choose whom to write to:",
    },
    "operator_your_dialogs": {"ru": "Ваши разговоры:", "en": "Your conversations:"},
    "operator_no_dialogs": {"ru": "Разговоров у вас нет.", "en": "You have no conversations."},
    "operator_waiting_dialogs": {"ru": "Ждут человека:", "en": "Waiting for a person:"},
    "operator_nobody_waits": {"ru": "Человека никто не ждёт.", "en": "Nobody waits for a person."},
    "operator_is_online": {
        "ru": "Вы на месте: разговоры будут приходить сюда. Уходя, отправьте /offline",
        "en": "You are there: conversations will come here. When you leave, send /offline",
    },
    "operator_is_offline": {
        "ru": "Вы не на месте: новых разговоров не будет, открытые остаются у вас.",
        "en": "You are away: no new conversations will come, those that are open stay yours.",
    },
    "operator_card": {
        "ru": "{title} ждёт человека: {reason}\n\n{summary}",
        "en": "{title} waits for a person: {reason}\n\n{summary}",
    },
    "operator_card_passed": {
        "ru": "Вам передан разговор: {title}\n\n{summary}",
        "en": "A conversation was handed on to you: {title}\n\n{summary}",
    },
    "operator_took": {
        "ru": "Разговор у вас: {title}. Пишите, бот молчит.",
        "en": "The conversation is yours: {title}. Write; the bot is silent.",
    },
    "operator_writes_to": {"ru": "Теперь вы пишете: {title}", "en": "Now you write to {title}"},
    "operator_declined": {"ru": "Хорошо, предложим другим.", "en": "All right, it is offered to others."},
    "operator_too_late": {
        "ru": "Опоздали: {title} уже у другого оператора ({operator}).",
        "en": "Too late: {title} is with another operator ({operator}) already.",
    },
    "operator_not_waiting": {
        "ru": "{title} человека уже не ждёт: отвечает бот.",
        "en": "{title} does not wait for a person any more: the bot answers.",
    },
    "operator_dialog_over": {
        "ru": "Разговор с {title} завершён: дальше отвечает бот.",
        "en": "The conversation with {title} is over: the bot answers from here.",
    },
    "operator_dialog_passed": {
        "ru": "Разговор с {title} передан: {operator}",
        "en": "The conversation with {title} was handed on: {operator}",
    },
    "operator_not_sent": {
        "ru": "Это не ушло: разговор с {title} уже не у вас.",
        "en": "This was not sent: the conversation with {title} is not yours any more.",
    },
    "operator_noted": {"ru": "Записано.", "en": "Noted."},
    "operator_note_what": {"ru": "Напишите заметку после команды: /note текст", "en": "Write it so: /note text"},
    "operator_no_files": {
        "ru": "Файл не ушёл: {title} получает только текст.",
        "en": "The file was not sent: {title} takes text only.",
    },
    "operator_not_edited": {
        "ru": "Правка до пользователя не дошла: он видит прежний текст.",
        "en": "The change did not reach the user, who sees the old text.",
    },
    "operator_button_take": {"ru": "Взять", "en": "Take"},
    "operator_button_decline": {"ru": "Отказаться", "en": "Decline"},
    "reason_wish": {"ru": "просит человека", "en": "asks for a person"},
    "reason_tool": {"ru": "так решил бот", "en": "the bot decided so"},
    "reason_command": {"ru": "команда или кнопка", "en": "a command or the button"},
    "reason_accepted_offer": {"ru": "принято предложение бота", "en": "accepted the bot's offer"},
    "reason_bot_failed": {"ru": "бот не смог ответить", "en": "the bot could not answer"},
    "reason_program": {"ru": "вызвала программа", "en": "called by a program"},
    "reason_emergency": {"ru": "СРОЧНО: возможна опасность", "en": "URGENT: somebody may be in danger"},
    "reason_stepped_in": {"ru": "оператор вмешался сам", "en": "the operator stepped in"},
}
