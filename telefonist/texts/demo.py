"""What the demo model answers."""

from telefonist.types import Catalogue

TEXTS: Catalogue = {
    "demo_nothing_said": {
        "ru": "Я не вижу текста в вашем сообщении. Напишите что-нибудь словами.",
        "en": "I see no text in your message. Write me something in words.",
    },
    "demo_greeting": {
        "ru": "Здравствуйте! Я встроенная демо-модель: работаю без сети. Попросите меня запомнить слово, а потом "
        "спросите о нём.",
        "en": "Hello! I am the built-in demo model and work offline. Ask me to remember a word, then ask me about it "
        "later.",
    },
    "demo_goodbye": {
        "ru": "До встречи! Буду здесь.",
        "en": "Goodbye! I will be here.",
    },
    "demo_thanks": {
        "ru": "Пожалуйста! Обращайтесь ещё.",
        "en": "You are welcome! Ask me anything else.",
    },
    "demo_how_are_you": {
        "ru": "Всё хорошо, линия свободна. Чем помочь?",
        "en": "All is well, the line is free. How can I help?",
    },
    "demo_abilities": {
        "ru": "Я встроенная демо-модель Telefonist. Без сети и ключей я помню, что вы сказали в этом разговоре (слово, "
        "имя, любой факт), и умею немного считать. Чтобы отвечала настоящая модель, задайте OPENAI_API_KEY или "
        "OPENROUTER_API_KEY и перезапустите сервис.",
        "en": "I am Telefonist's built-in demo model. Without a network or keys I remember what you tell me in this "
        "conversation (a word, your name, any fact) and do a little arithmetic. For a real model set OPENAI_API_KEY or "
        "OPENROUTER_API_KEY and restart the service.",
    },
    "demo_remembered": {
        "ru": "Запомню: {facts}. Спросите меня об этом позже.",
        "en": "I will remember: {facts}. Ask me about it later.",
    },
    "demo_recall": {
        "ru": "Вы просили запомнить: {facts}.",
        "en": "You asked me to remember: {facts}.",
    },
    "demo_nothing_remembered": {
        "ru": "В этом разговоре вы ещё не просили меня ничего запомнить.",
        "en": "You have not asked me to remember anything in this conversation yet.",
    },
    "demo_nice_to_meet": {
        "ru": "Приятно познакомиться, {name}! Запомню, как вас зовут.",
        "en": "Nice to meet you, {name}! I will remember your name.",
    },
    "demo_your_name": {
        "ru": "Вас зовут {name}.",
        "en": "Your name is {name}.",
    },
    "demo_name_unknown": {
        "ru": "В этом разговоре вы ещё не называли своё имя.",
        "en": "You have not told me your name in this conversation yet.",
    },
    "demo_sum": {
        "ru": "Получается {sum} = {result}.",
        "en": "That makes {sum} = {result}.",
    },
    "demo_division_by_zero": {
        "ru": "На ноль делить нельзя.",
        "en": "There is no dividing by zero.",
    },
    "demo_history": {
        "ru": "Вы писали: {messages}.",
        "en": "You wrote: {messages}.",
    },
    "demo_first_message": {
        "ru": "Вы написали: «{echo}». Это начало нашего разговора. Я встроенная демо-модель: работаю без сети и знаю "
        "немного. Чтобы отвечала настоящая модель, задайте OPENAI_API_KEY или OPENROUTER_API_KEY и перезапустите "
        "сервис.",
        "en": "You wrote: “{echo}”. This is the start of our conversation. I am the built-in demo model: I work "
        "offline and know little. For a real model set OPENAI_API_KEY or OPENROUTER_API_KEY and restart the service.",
    },
    "demo_next_message": {
        "ru": "Вы написали: «{echo}». Я вижу {number} ваших сообщений в этом разговоре; перед этим было: «{previous}». "
        "Я встроенная демо-модель и знаю немного; настоящую подключит OPENAI_API_KEY или OPENROUTER_API_KEY.",
        "en": "You wrote: “{echo}”. I see {number} messages of yours in this conversation; the one before was: "
        "“{previous}”. I am the built-in demo model and know little; OPENAI_API_KEY or OPENROUTER_API_KEY connects "
        "a real one.",
    },
}
