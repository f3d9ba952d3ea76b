"""What users read in Telegram: the bot's own words, its buttons and its commands."""

from telefonist.types import Catalogue

TEXTS: Catalogue = {
    "telegram_failed": {
        "ru": "Telegram не выполнил вызов: {reason}",
        "en": "Telegram did not carry out the call: {reason}",
    },
    "telegram_secret_refused": {
        "ru": "Этот вызов не от Telegram: секрет вебхука другой или не задан (TELEGRAM_WEBHOOK_SECRET).",
        "en": "This call is not Telegram's: the webhook's secret is another one, or none is set "
        "(TELEGRAM_WEBHOOK_SECRET).",
    },
    "telegram_welcome": {
        "ru": "Здравствуйте! Я бот: спрашивайте словами, отвечу. Если понадобится человек, напишите об этом, нажмите "
        "кнопку или отправьте /operator. Все команды: /help",
        "en": "Hello! I am a bot: ask in your own words and I will answer. If you need a person, say so, press the "
        "button or send /operator. All commands: /help",
    },
    "telegram_help": {
        "ru": "Просто напишите вопрос.\n\n"
        "/operator: позвать человека\n"
        "/bot: вернуться к боту\n"
        "/reset: начать разговор заново, прежнее бот забудет\n"
        "/model: выбрать модель\n"
        "/help: эта подсказка",
        "en": "Just write your question.\n\n"
        "/operator: call a person\n"
        "/bot: go back to the bot\n"
        "/reset: start anew, the bot forgets what was said\n"
        "/model: choose a model\n"
        "/help: this text",
    },
    "telegram_command_start": {"ru": "Начать", "en": "Start"},
    "telegram_command_help": {"ru": "Что умеет бот", "en": "What the bot can do"},
    "telegram_command_operator": {"ru": "Позвать человека", "en": "Call a person"},
    "telegram_command_bot": {"ru": "Вернуться к боту", "en": "Go back to the bot"},
    "telegram_command_reset": {"ru": "Начать разговор заново", "en": "Start the conversation anew"},
    "telegram_command_model": {"ru": "Выбрать модель", "en": "Choose a model"},
    "telegram_button_operator": {"ru": "Позвать человека", "en": "Talk to a person"},
    "telegram_button_bot": {"ru": "Продолжить с ботом", "en": "Go on with the bot"},
    "telegram_button_good": {"ru": "👍 Помогли", "en": "👍 Helpful"},
    "telegram_button_bad": {"ru": "👎 Не помогли", "en": "👎 Not helpful"},
    "telegram_rated": {"ru": "Спасибо за оценку!", "en": "Thank you for the rating!"},
    "telegram_reset": {
        "ru": "Начинаем заново: прежний разговор я забыл.",
        "en": "We start anew: I have forgotten what was said before.",
    },
    "telegram_person_called": {
        "ru": "Человека уже позвали: ответит, как только освободится.",
        "en": "A person has been called already and will answer as soon as they are free.",
    },
    "telegram_person_here": {
        "ru": "С вами уже говорит человек: просто пишите.",
        "en": "A person is talking to you already: just write.",
    },
    "telegram_bot_here": {"ru": "Вам и так отвечает бот.", "en": "The bot answers you as it is."},
    "telegram_model_now": {
        "ru": "Сейчас отвечает модель {model}. Какой ответить на следующие вопросы?",
        "en": "The model that answers now is {model}. Which one shall answer from here?",
    },
    "telegram_model_only": {
        "ru": "Отвечает модель {model}, другой здесь нет.",
        "en": "The model that answers is {model}; there is no other here.",
    },
    "telegram_model_chosen": {"ru": "Дальше отвечает модель {model}.", "en": "From here the model {model} answers."},
    "telegram_model_unknown": {
        "ru": "Модели {model} нет. Список: /model",
        "en": "There is no model {model}. The list: /model",
    },
    "telegram_unknown_command": {
        "ru": "Такой команды нет. Список: /help",
        "en": "There is no such command. The list: /help",
    },
    "telegram_words_only": {
        "ru": "Я пока понимаю только текст. Напишите словами, что нужно, или позовите человека: он увидит и файлы.",
        "en": "So far I understand text only. Say in words what you need, or call a person, who will see files too.",
    },
    "telegram_too_long": {
        "ru": "Сообщение слишком длинное для модели. Сократите его или отправьте по частям.",
        "en": "The message is too long for the model. Shorten it, or send it in parts.",
    },
    "telegram_webhook_set": {
        "ru": "Telegram шлёт обновления сюда: {url}",
        "en": "Telegram sends updates to {url}",
    },
    "telegram_webhook_deleted": {
        "ru": "Вебхук снят. Без TELEGRAM_WEBHOOK_SECRET сервис опрашивает Telegram сам.",
        "en": "The webhook is gone. Without TELEGRAM_WEBHOOK_SECRET the service asks Telegram for updates by itself.",
    },
    "telegram_info": {
        "ru": "Бот: @{username} ({id})\nВебхук: {url}\nЖдут доставки: {pending}\nПоследняя ошибка: {error}",
        "en": "Bot: @{username} ({id})\nWebhook: {url}\nUpdates that wait: {pending}\nLast error: {error}",
    },
    "telegram_none": {"ru": "нет", "en": "none"},
    "telegram_user_banned": {
        "ru": "Пользователь {user} больше не получает ответов.",
        "en": "User {user} gets no more answers.",
    },
    "telegram_user_unbanned": {
        "ru": "Пользователю {user} снова отвечаем.",
        "en": "User {user} is answered again.",
    },
    "telegram_user_unknown": {
        "ru": "Пользователь {user} боту не писал.",
        "en": "User {user} has not written to the bot.",
    },
}
