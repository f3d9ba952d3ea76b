"""What the commands and the start of the service say."""

from telefonist.types import Catalogue

TEXTS: Catalogue = {
    "serve_ready": {
        "ru": """
Телефонист на линии: {url}
  модели: {models}
  документация: {url}/docs       остановить: Ctrl-C""",
        "en": """
Telefonist is on the line: {url}
  models: {models}
  documentation: {url}/docs       stop: Ctrl-C""",
    },
    "try_next": {
        "ru": """  попробуйте:
    curl -i {url}/webhook -H 'content-type: application/json' \\
      -d '{{"message": "Привет! Запомни слово: маяк", "callback_url": "{url}/callback", "conversationId": "1"}}'
    curl {url}/callback                 # какие ответы пришли
    .venv/bin/telefonist demo           # весь путь сообщения, прямо в терминале
""",
        "en": """  try next:
    curl -i {url}/webhook -H 'content-type: application/json' \\
      -d '{{"message": "Hello! Remember: lighthouse", "callback_url": "{url}/callback", "conversationId": "1"}}'
    curl {url}/callback                 # the answers that arrived
    .venv/bin/telefonist demo           # the whole trip of a message, in the terminal
""",
    },
    "accounts_let_in": {
        "ru": "  впускаю только с учётной записью: первую делает telefonist user create-admin EMAIL\n",
        "en": "  only accounts are let in: telefonist user create-admin EMAIL makes the first\n",
    },
    "open_to_all": {
        "ru": "  внимание: TELEFONIST_ANONYMOUS=on, отвечаю всякому, кто сюда достучится\n",
        "en": "  mind: TELEFONIST_ANONYMOUS=on, everybody who reaches this address is answered\n",
    },
    "models_database_away": {
        "ru": "База данных не ответила: цены даны по настройкам, без тех, что задал администратор.",
        "en": "The database did not answer: the prices are those of the settings, without what administrators set.",
    },
    "models_overridden": {
        "ru": "* цену задал администратор; telefonist models reset ИМЯ вернёт цену из настроек",
        "en": "* set by an administrator; telefonist models reset NAME brings the price of the settings back",
    },
    "price_reset": {
        "ru": "Цена {model} снова та, что в настройках.",
        "en": "The price of {model} is that of the settings again.",
    },
    "price_not_set": {
        "ru": "Цена {model} и так та, что в настройках.",
        "en": "The price of {model} is that of the settings already.",
    },
    "ledger_agrees": {
        "ru": "расхождений нет",
        "en": "nothing differs",
    },
    "ledger_difference": {
        "ru": "{what} {id}: записано {kept}, должно быть {due}",
        "en": "{what} {id}: {kept} is kept, {due} is due",
    },
    "user_balance_now": {
        "ru": "Баланс {email}: {balance}",
        "en": "The balance of {email}: {balance}",
    },
    "redelivering": {
        "ru": "Отправляю снова для {host}: {count}",
        "en": "Sending again for {host}: {count}",
    },
    "worker_ready": {
        "ru": "Работник Телефониста на месте: отвечает и доставляет. Остановить: Ctrl-C",
        "en": "A Telefonist worker is at its place: it answers and delivers. Stop: Ctrl-C",
    },
    "user_ask_password": {
        "ru": "Пароль",
        "en": "Password",
    },
    "user_repeat_password": {
        "ru": "Ещё раз",
        "en": "Once more",
    },
    "user_admin_created": {
        "ru": "Создана учётная запись администратора: {email}",
        "en": "An administrator's account was made: {email}",
    },
    "user_made_admin": {
        "ru": "{email} теперь администратор; пароль остался прежним",
        "en": "{email} is an administrator now; the password is as it was",
    },
    "user_password_reset": {
        "ru": "Пароль сменён, все входы завершены: {email}",
        "en": "The password was changed, and every login has ended: {email}",
    },
    "user_disabled": {
        "ru": "Учётная запись отключена: {email}",
        "en": "The account is shut out: {email}",
    },
    "user_enabled": {
        "ru": "Учётная запись снова включена: {email}",
        "en": "The account is let in again: {email}",
    },
}
