"""What users read when a person is called, comes and leaves, and what operators are refused."""

from telefonist.types import Catalogue

TEXTS: Catalogue = {
    "handoff_transferring": {
        "ru": "Переключаю на человека",
        "en": "Transferring you to a person",
    },
    "handoff_nobody_online": {
        "ru": "Сейчас никого из операторов нет на связи. Ваш разговор ждёт их: ответят, как только кто-то появится. "
        "Если не хотите ждать, можно продолжить с ботом.",
        "en": "No operator is online right now. Your conversation waits for them and will be answered as soon as "
        "somebody is there. If you would rather not wait, you can go on with the bot.",
    },
    "handoff_out_of_hours": {
        "ru": "Сейчас нерабочее время, операторы отвечают {hours}. Ваш разговор ждёт их. Если не хотите ждать, можно "
        "продолжить с ботом.",
        "en": "It is outside working hours: operators answer {hours}. Your conversation waits for them. If you would "
        "rather not wait, you can go on with the bot.",
    },
    "handoff_operator_joined": {
        "ru": "К разговору подключился оператор.",
        "en": "An operator has joined the conversation.",
    },
    "handoff_returned": {
        "ru": "Оператор передал разговор боту: дальше отвечает бот.",
        "en": "The operator gave the conversation back: the bot answers from here.",
    },
    "handoff_closed": {
        "ru": "Оператор завершил разговор. Если появятся вопросы, ответит бот.",
        "en": "The operator has closed the conversation. The bot answers further questions.",
    },
    "handoff_silent": {
        "ru": "От оператора давно ничего нет, поэтому дальше отвечает бот. Человека можно позвать снова.",
        "en": "The operator has been silent for a while, so the bot answers from here. You can call a person again.",
    },
    "handoff_nobody_came": {
        "ru": "К сожалению, никто из операторов не освободился. Дальше отвечает бот; человека можно позвать снова.",
        "en": "Unfortunately no operator became free. The bot answers from here; you can call a person again.",
    },
    "handoff_withdrawn": {
        "ru": "Хорошо, дальше отвечает бот.",
        "en": "All right, the bot answers from here.",
    },
    "handoff_offer": {
        "ru": "Соединить вас с оператором?",
        "en": "Would you like to talk to a person?",
    },
    "handoff_history_human": {
        "ru": "Выше пользователю отвечал живой оператор. Он закончил, и теперь снова отвечаешь ты. Прошлая просьба "
        "позвать человека уже выполнена.",
        "en": "Above, a human operator answered the user. They have finished, and now you answer again. The earlier "
        "wish for a person has been granted.",
    },
    "handoff_history_nobody": {
        "ru": "Пользователь ждал живого оператора, но дальше снова отвечаешь ты. Просьба позвать человека больше не в "
        "силе.",
        "en": "The user was waiting for a human operator, but now you answer again. The wish for a person no longer "
        "stands.",
    },
    "handoff_summarise": {
        "ru": "Ты готовишь оператора поддержки к разговору. Сожми переписку ниже в две-три фразы: чего хочет "
        "пользователь, что уже выяснено и что пробовали. Только факты из переписки, без обращения к пользователю.",
        "en": "You brief a support operator. Condense the conversation below into two or three sentences: what the "
        "user wants, what is known so far and what was tried. Facts from the conversation only; do not address the "
        "user.",
    },
    "handoff_summary_user": {
        "ru": "Пользователь: {text}",
        "en": "User: {text}",
    },
    "handoff_summary_bot": {
        "ru": "Бот: {text}",
        "en": "Bot: {text}",
    },
    "handoff_summary_operator": {
        "ru": "Оператор: {text}",
        "en": "Operator: {text}",
    },
    "operators_none": {
        "ru": "Операторов пока нет: telefonist operator invite даёт приглашение, а учётная запись с ролью operator "
        "становится оператором при первом запросе к /operator.",
        "en": "There are no operators yet: telefonist operator invite gives an invite, and an account with the role "
        "operator becomes one with its first request to /operator.",
    },
    "operator_online": {
        "ru": "{id}  на месте   {name}  (Telegram {telegram}, разговоров сразу: {capacity})",
        "en": "{id}  online   {name}  (Telegram {telegram}, conversations at once: {capacity})",
    },
    "operator_offline": {
        "ru": "{id}  не на месте  {name}  (Telegram {telegram}, разговоров сразу: {capacity})",
        "en": "{id}  offline  {name}  (Telegram {telegram}, conversations at once: {capacity})",
    },
    "conversation_not_found": {
        "ru": "Разговор {conversation} не найден.",
        "en": "Conversation {conversation} was not found.",
    },
    "operator_not_found": {
        "ru": "Оператор {operator} не найден.",
        "en": "Operator {operator} was not found.",
    },
    "operator_required": {
        "ru": "Это доступно только операторам.",
        "en": "This is for operators.",
    },
    "dialog_taken": {
        "ru": "Разговор {conversation} уже взял другой оператор.",
        "en": "Conversation {conversation} was taken by another operator.",
    },
    "dialog_not_yours": {
        "ru": "Разговор {conversation} сейчас не у вас: сначала возьмите его.",
        "en": "Conversation {conversation} is not yours now: take it first.",
    },
    "dialog_with_bot": {
        "ru": "В разговоре {conversation} и так отвечает бот.",
        "en": "The bot answers in conversation {conversation} as it is.",
    },
}
