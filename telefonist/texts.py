"""The one catalogue of texts that people read, in Russian and English.

A text is found by its code and filled with named values; a code without both languages fails the tests.
"""

from collections.abc import Mapping
from typing import Any

from telefonist.types import Language

LANGUAGES: tuple[Language, ...] = ("ru", "en")

TEXTS: Mapping[str, Mapping[Language, str]] = {
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
    "nobody_let_in": {
        "ru": "  пока никого не впускаю: сервис доступен не только этой машине, а TELEFONIST_ANONYMOUS не «on»\n",
        "en": "  nobody is let in yet: others than this machine can reach it, and TELEFONIST_ANONYMOUS is not 'on'\n",
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
    "trip_on_the_line": {
        "ru": "Телефонист {version} на линии: {url}",
        "en": "Telefonist {version} is on the line: {url}",
    },
    "trip_receiver": {
        "ru": "Ответы принимает эта программа: {url}",
        "en": "This program takes the answers: {url}",
    },
    "trip_first": {
        "ru": "1. Сообщение уходит, ответ приходит",
        "en": "1. A message goes out, its answer comes in",
    },
    "trip_second": {
        "ru": "2. Ещё одно сообщение в том же разговоре",
        "en": "2. Another message of the same conversation",
    },
    "trip_record": {
        "ru": "3. Что записал сервис: GET {path}",
        "en": "3. What the service wrote down: GET {path}",
    },
    "trip_seen": {
        "ru": "Весь путь пройден. Дальше: curl из README или /docs в браузере.",
        "en": "That was the whole trip. Next: the curl lines of the README, or /docs in a browser.",
    },
    "trip_message": {
        "ru": "Привет! Запомни слово: маяк",
        "en": "Hello! Remember the word: lighthouse",
    },
    "trip_question": {
        "ru": "Какое слово я просил запомнить?",
        "en": "Which word did I ask you to remember?",
    },
    "trip_word": {
        "ru": "маяк",
        "en": "lighthouse",
    },
    "trip_accepted": {
        "ru": "202 через {milliseconds} мс: сообщение на диске, ответ придёт",
        "en": "202 after {milliseconds} ms: the message is on disk, its answer will come",
    },
    "trip_stage_queued": {
        "ru": "ждёт своей очереди",
        "en": "waiting for its turn",
    },
    "trip_stage_running": {
        "ru": "модель отвечает",
        "en": "the model is at work",
    },
    "trip_stage_delivering": {
        "ru": "ответ готов, доставляется",
        "en": "answered, on its way to us",
    },
    "trip_arrived": {
        "ru": "через {milliseconds} мс пришёл ответ: POST {url}",
        "en": "{milliseconds} ms later the answer came: POST {url}",
    },
    "trip_signature_right": {
        "ru": "подпись верна: она сделана секретом этого сервиса (telefonist webhook secret)",
        "en": "the signature is right: made with this service's secret (telefonist webhook secret)",
    },
    "trip_remembered": {
        "ru": "разговор помнится: слово «{word}» названо",
        "en": "the conversation is remembered: it names the word “{word}”",
    },
    "trip_states": {
        "ru": "    задача: {task}, доставка: {delivery}",
        "en": "    task: {task}, delivery: {delivery}",
    },
    "trip_attempt": {
        "ru": "    попытка {number} в {at}: {outcome} за {milliseconds} мс, получатель сказал «{reply}»",
        "en": "    attempt {number} at {at}: {outcome} in {milliseconds} ms, the receiver said “{reply}”",
    },
    "trip_not_running": {
        "ru": "по адресу {url} никто не отвечает. Запустите сервис в другом терминале (make run) и повторите. Если он "
        "слушает другой адрес, задайте те же TELEFONIST_HOST и TELEFONIST_PORT и здесь.",
        "en": "nobody answers at {url}. Start the service in another terminal (make run) and try again. If it listens "
        "elsewhere, set the same TELEFONIST_HOST and TELEFONIST_PORT here.",
    },
    "trip_any_port": {
        "ru": "TELEFONIST_PORT=0 значит любой свободный порт. Назовите здесь тот, который сервис напечатал при "
        "запуске: TELEFONIST_PORT=… telefonist demo",
        "en": "TELEFONIST_PORT=0 means any free port. Name the one that the service printed when it started: "
        "TELEFONIST_PORT=… telefonist demo",
    },
    "trip_not_telefonist": {
        "ru": "по адресу {url} отвечает не Телефонист. Проверьте TELEFONIST_HOST и TELEFONIST_PORT.",
        "en": "what answers at {url} is not Telefonist. Check TELEFONIST_HOST and TELEFONIST_PORT.",
    },
    "trip_broken_off": {
        "ru": "сервис {url} не ответил: {reason}. Загляните в его журнал и повторите.",
        "en": "the service at {url} did not answer: {reason}. Look into its log and try again.",
    },
    "trip_other_folder": {
        "ru": "здесь нет папки данных сервиса, {folder}. Запустите demo из той же папки и с теми же настройками, что и "
        "сервис (TELEFONIST_DATA_DIR).",
        "en": "the service's data folder is not here: {folder}. Run the demo in the same folder and with the same "
        "settings as the service (TELEFONIST_DATA_DIR).",
    },
    "trip_rate_limited": {
        "ru": "слишком много запросов за минуту: сервис просит подождать {seconds} с. Повторите потом или поднимите "
        "TELEFONIST_WEBHOOK_RATE_LIMIT.",
        "en": "too many requests within a minute: the service asks to wait {seconds} s. Try again then, or raise "
        "TELEFONIST_WEBHOOK_RATE_LIMIT.",
    },
    "trip_no_strangers": {
        "ru": "сервис не принимает запросы без учётной записи: {reason}. Для пробы запустите его на 127.0.0.1 без "
        "TELEFONIST_PUBLIC_URL или с TELEFONIST_ANONYMOUS=on.",
        "en": "the service takes no requests without an account: {reason}. To try it out, start it on 127.0.0.1 "
        "without TELEFONIST_PUBLIC_URL, or with TELEFONIST_ANONYMOUS=on.",
    },
    "trip_callbacks_closed": {
        "ru": "сервис не шлёт ответы на {url}: он слушает не только эту машину, и потому адреса вне интернета для него "
        "закрыты. Для пробы запустите его с TELEFONIST_CALLBACK_ALLOWED_NETWORKS=127.0.0.1/32.",
        "en": "the service sends no answers to {url}: it listens beyond this machine, so addresses outside the "
        "internet are closed. To try it out, start it with TELEFONIST_CALLBACK_ALLOWED_NETWORKS=127.0.0.1/32.",
    },
    "trip_unexpected": {
        "ru": "сервис ответил {status} на {path}: {reason}.",
        "en": "the service answered {status} to {path}: {reason}.",
    },
    "trip_no_model": {
        "ru": "за {seconds} с модель {model} не ответила. Журнал сервиса скажет, чем он занят; если он запущен с "
        "--no-worker, рядом нужен ещё telefonist worker.",
        "en": "the model {model} did not answer within {seconds} s. The service's log says what it is doing; if it "
        "was started with --no-worker, it needs a telefonist worker beside it.",
    },
    "trip_no_callback": {
        "ru": "ответ готов, но за {seconds} с не дошёл до {url}. Последняя попытка: {reason}. Сервис в контейнере или "
        "на другой машине сюда не достучится.",
        "en": "the answer is there, but did not reach {url} within {seconds} s. The last attempt: {reason}. A service "
        "in a container or on another machine cannot knock here.",
    },
    "trip_signature_wrong": {
        "ru": "ответ пришёл, но подпись не проверена. {reason} У сервиса другой секрет, если его настройки или папка "
        "данных не те, что у этой команды.",
        "en": "the answer came, but its signature is not proven. {reason} The service has another secret if its "
        "settings or its data folder are not those of this command.",
    },
    "trip_model_failed": {
        "ru": "сервис работает, но модель {model} не смогла ответить: {reason} Проверьте её ключ или возьмите "
        "встроенную: TELEFONIST_DEFAULT_MODEL=demo.",
        "en": "the service works, but the model {model} could not answer: {reason} Check its key, or take the "
        "built-in one: TELEFONIST_DEFAULT_MODEL=demo.",
    },
    "trip_forgotten": {
        "ru": "оба ответа пришли, но во втором нет слова «{word}»: модель не нашла его в истории разговора.",
        "en": "both answers came, but the second does not name the word “{word}”: the model did not find it in the "
        "conversation.",
    },
    "trip_unrecorded": {
        "ru": "ответ пришёл, но сервис до сих пор не записал доставку ({state}). Загляните в его журнал.",
        "en": "the answer came, but the service still has not recorded the delivery ({state}). Look into its log.",
    },
    "internal_error": {
        "ru": "Внутренняя ошибка. Сообщите номер запроса тому, кто ведёт сервис.",
        "en": "Internal error. Give the request id to whoever runs this service.",
    },
    "task_not_found": {
        "ru": "Задача {task_id} не найдена.",
        "en": "Task {task_id} was not found.",
    },
    "model_not_found": {
        "ru": "Модель «{model}» неизвестна. Есть: {known}.",
        "en": "Model '{model}' is unknown. Known models: {known}.",
    },
    "idempotency_conflict": {
        "ru": "Этот Idempotency-Key уже использован с другим телом запроса. Возьмите новый ключ.",
        "en": "This Idempotency-Key was used with a different request body. Use a new key.",
    },
    "task_already_finished": {
        "ru": "Задача {task_id} уже завершена ({state}) и не может быть отменена.",
        "en": "Task {task_id} is already finished ({state}) and cannot be cancelled.",
    },
    "nothing_to_redeliver": {
        "ru": "У задачи {task_id} ещё нет ответа, который можно отправить снова ({state}).",
        "en": "Task {task_id} has no answer to send again yet ({state}).",
    },
    "payload_too_large": {
        "ru": "Тело запроса больше {limit} байт. Сократите его.",
        "en": "The request body is larger than {limit} bytes. Make it smaller.",
    },
    "body_timeout": {
        "ru": "Тело запроса не пришло за {seconds} с.",
        "en": "The request body did not arrive within {seconds} s.",
    },
    "unreadable_body": {
        "ru": "Тело запроса не удалось прочесть: нужен JSON в UTF-8 без лишней вложенности.",
        "en": "The request body could not be read: send JSON in UTF-8 that is not nested too deeply.",
    },
    "route_not_found": {
        "ru": "Здесь ничего нет: {path}. Список адресов: /docs.",
        "en": "There is nothing here: {path}. See /docs for what there is.",
    },
    "method_not_allowed": {
        "ru": "Метод {method} здесь не подходит. Можно: {allowed}.",
        "en": "Method {method} does not work here. Allowed: {allowed}.",
    },
    "rate_limited": {
        "ru": "Слишком много запросов: разрешено {limit}. Повторите через {seconds} с.",
        "en": "Too many requests: the limit is {limit}. Try again in {seconds} s.",
    },
    "insufficient_credits": {
        "ru": "Недостаточно кредитов: доступно {available} (баланс {balance}), нужно {need}. Пополните баланс.",
        "en": "Not enough credits: {available} available (balance {balance}), {need} needed. Top up the balance.",
    },
    "no_credits_left": {
        "ru": "Кредиты кончились: доступно {available}. Пополните баланс или выберите бесплатную модель.",
        "en": "No credits left: {available} available. Top up the balance, or choose a free model.",
    },
    "no_budget_left": {
        "ru": "Бюджет ключа исчерпан: осталось {left} кредитов. Создайте ключ с большим бюджетом.",
        "en": "The key's budget is spent: {left} credits left. Make a new key with a larger budget.",
    },
    "key_budget_spent": {
        "ru": "Бюджет ключа исчерпан: осталось {left} кредитов, нужно {need}. Создайте ключ с большим бюджетом.",
        "en": "The key's budget is spent: {left} credits left, {need} needed. Make a new key with a larger budget.",
    },
    "model_not_allowed": {
        "ru": "Этому ключу не разрешена модель {model}. Разрешены: {allowed}.",
        "en": "This key may not use the model {model}. It may use: {allowed}.",
    },
    "token_rate_limited": {
        "ru": "Слишком много токенов: разрешено {limit} в минуту, запросу нужно {need}. Повторите через {seconds} с.",
        "en": "Too many tokens: the limit is {limit} a minute, this needs {need}. Try again in {seconds} s.",
    },
    "too_many_streams": {
        "ru": "Одновременно открытых потоков у этого ключа не больше {limit}. Дождитесь окончания одного из них.",
        "en": "This key may have {limit} streams open at once. Wait for one of them to end.",
    },
    "generation_lost": {
        "ru": "Ответ не удалось учесть, поэтому он не списан и не выдан целиком. Повторите запрос.",
        "en": "The answer could not be accounted for, so it was neither charged nor given whole. Repeat the request.",
    },
    "model_kind_mismatch": {
        "ru": "Модель {model} не подходит для этого запроса: {path} обслуживают {known}.",
        "en": "The model {model} does not serve this request: {path} is served by {known}.",
    },
    "authentication_required": {
        "ru": "Нужен ключ или токен: анонимные запросы здесь не принимаются ({why}).",
        "en": "A key or a token is needed: anonymous requests are not taken here ({why}).",
    },
    "credentials_not_accepted": {
        "ru": "Ключ или токен из заголовка Authorization не подходит. Проверьте его или уберите заголовок.",
        "en": "The key or token in the Authorization header is not accepted. Check it or leave the header out.",
    },
    "account_needed": {
        "ru": "Это есть только у учётной записи: войдите или пришлите ключ в заголовке Authorization.",
        "en": "Only an account has this: log in, or send a key in the Authorization header.",
    },
    "user_not_found": {
        "ru": "Пользователь {user} не найден.",
        "en": "User {user} was not found.",
    },
    "invite_not_found": {
        "ru": "Приглашение {invite} не найдено или уже использовано.",
        "en": "Invite {invite} was not found, or is used already.",
    },
    "last_admin": {
        "ru": "Это последний администратор. Сначала сделайте администратором кого-то ещё.",
        "en": "This is the last administrator. Make somebody else an administrator first.",
    },
    "balance_out_of_range": {
        "ru": "Баланс не может отойти от нуля дальше чем на {limit} кредитов. Возьмите меньшую сумму.",
        "en": "A balance stays within {limit} credits of zero. Give a smaller amount.",
    },
    "credentials_expired": {
        "ru": "Срок действия токена истёк. Обновите его или войдите снова.",
        "en": "The token has expired. Refresh it or log in again.",
    },
    "user_ask_password": {
        "ru": "Пароль",
        "en": "Password",
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
    "refresh_not_accepted": {
        "ru": "Токен обновления не подходит, истёк или уже использован. Войдите снова.",
        "en": "The refresh token is unknown, has expired or was used before. Log in again.",
    },
    "login_failed": {
        "ru": "Нет такого пользователя, или пароль другой.",
        "en": "There is no such user, or the password is another.",
    },
    "current_password_wrong": {
        "ru": "Нынешний пароль другой.",
        "en": "The current password is another.",
    },
    "passwords_busy": {
        "ru": "Слишком много входов сразу. Повторите через {seconds} с.",
        "en": "Too many log-ins at once. Try again in {seconds} s.",
    },
    "email_taken": {
        "ru": "Учётная запись {email} уже есть.",
        "en": "There is an account for {email} already.",
    },
    "registration_closed": {
        "ru": "Регистрация закрыта.",
        "en": "Registration is closed.",
    },
    "invite_required": {
        "ru": "Регистрация только по приглашению: передайте его в поле invite.",
        "en": "Registration needs an invite: give it as invite.",
    },
    "invite_not_accepted": {
        "ru": "Приглашение не подходит: неизвестно, уже использовано, просрочено или выписано на другой адрес.",
        "en": "The invite is not accepted: it is unknown, used, past, or for another address.",
    },
    "account_not_found": {
        "ru": "Учётная запись {account} не найдена.",
        "en": "Account {account} was not found.",
    },
    "key_not_found": {
        "ru": "Ключ {key_id} не найден.",
        "en": "Key {key_id} was not found.",
    },
    "login_required": {
        "ru": "Сюда нужно войти: POST /auth/login даст токен.",
        "en": "This needs a login: POST /auth/login gives a token.",
    },
    "login_not_a_key": {
        "ru": "Ключ этого не открывает: войдите, POST /auth/login даст токен.",
        "en": "A key does not open this: log in, POST /auth/login gives a token.",
    },
    "admin_required": {
        "ru": "Это доступно только администратору.",
        "en": "This is for administrators.",
    },
    "account_disabled": {
        "ru": "Учётная запись отключена.",
        "en": "The account is disabled.",
    },
    "too_many_keys": {
        "ru": "Ключей может быть не больше {most}. Отзовите те, которые не нужны.",
        "en": "An account has at most {most} keys. Revoke those that are not needed.",
    },
    "why_anonymous_off": {
        "ru": "анонимный доступ выключен",
        "en": "anonymous access is off",
    },
    "why_listens_beyond_loopback": {
        "ru": "сервис слушает не только loopback",
        "en": "the service listens beyond loopback",
    },
    "why_public_url": {
        "ru": "у сервиса есть публичный адрес",
        "en": "the service has a public URL",
    },
    "why_foreign_peer": {
        "ru": "соединение пришло не с этой машины",
        "en": "the connection does not come from this machine",
    },
    "why_foreign_host": {
        "ru": "заголовок Host называет не loopback",
        "en": "the Host header does not name loopback",
    },
    "why_forwarded": {
        "ru": "запрос пришёл через прокси",
        "en": "the request came through a proxy",
    },
    "why_cross_site": {
        "ru": "запрос отправила страница другого сайта",
        "en": "the request was sent by a page of another site",
    },
    "why_not_json": {
        "ru": "тело без заголовка Content-Type: application/json",
        "en": "the body has no Content-Type: application/json",
    },
    "signature_missing": {
        "ru": "Нет заголовка {header}: сообщение не подписано.",
        "en": "There is no {header} header: the message is not signed.",
    },
    "signature_malformed": {
        "ru": "Заголовок {header} заполнен не по стандарту Standard Webhooks.",
        "en": "The {header} header is not what Standard Webhooks demands.",
    },
    "signature_expired": {
        "ru": "Время подписи расходится с нашими часами больше чем на {seconds} с.",
        "en": "The time of the signature is more than {seconds} s away from our clock.",
    },
    "signature_mismatch": {
        "ru": "Подпись не подходит ни к одному из секретов.",
        "en": "The signature matches none of the secrets.",
    },
    "account_required": {
        "ru": "Список задач доступен только учётной записи. Задача без учётной записи видна по её номеру.",
        "en": "Lists need an account. A task without an account is reached by its id.",
    },
    "only_on_loopback": {
        "ru": "Этот адрес для проб работает, только пока сервис слушает loopback.",
        "en": "This try-out address works only while the service listens on loopback.",
    },
    "storage_unavailable": {
        "ru": "База данных сейчас недоступна. Повторите через {seconds} с.",
        "en": "The database is unavailable right now. Try again in {seconds} s.",
    },
    "memory_unavailable": {
        "ru": "Сейчас нельзя проверить, сколько запросов уже было. Повторите через {seconds} с.",
        "en": "How many requests there were cannot be checked right now. Try again in {seconds} s.",
    },
    "shutting_down": {
        "ru": "Сервис останавливается. Повторите через {seconds} с.",
        "en": "The service is shutting down. Try again in {seconds} s.",
    },
    "provider_unreachable": {
        "ru": "Провайдер «{provider}» недоступен: {reason}.",
        "en": "Provider '{provider}' cannot be reached: {reason}.",
    },
    "provider_timeout": {
        "ru": "Провайдер «{provider}» не ответил за {seconds} с ({phase}).",
        "en": "Provider '{provider}' did not answer within {seconds} s ({phase}).",
    },
    "provider_rate_limited": {
        "ru": "Провайдер «{provider}» ограничил частоту запросов: {reason}.",
        "en": "Provider '{provider}' limited our requests: {reason}.",
    },
    "provider_failed": {
        "ru": "Провайдер «{provider}» ответил ошибкой {status}: {reason}.",
        "en": "Provider '{provider}' failed with status {status}: {reason}.",
    },
    "provider_credentials_refused": {
        "ru": "Провайдер «{provider}» отверг наш ключ ({status}): {reason}.",
        "en": "Provider '{provider}' refused our key ({status}): {reason}.",
    },
    "provider_out_of_funds": {
        "ru": "У провайдера «{provider}» кончились средства: {reason}.",
        "en": "Provider '{provider}' is out of funds: {reason}.",
    },
    "provider_rejected_request": {
        "ru": "Провайдер «{provider}» отверг запрос ({status}): {reason}.",
        "en": "Provider '{provider}' rejected the request ({status}): {reason}.",
    },
    "provider_protocol_error": {
        "ru": "Провайдер «{provider}» ответил не по протоколу: {reason}.",
        "en": "Provider '{provider}' broke the protocol: {reason}.",
    },
    "invalid_input": {
        "ru": "Запрос неверен: {fields}.",
        "en": "The request is invalid: {fields}.",
    },
    "message_too_long": {
        "ru": "Сообщение длиннее окна модели {model}: около {tokens} токенов из {limit}. Сократите его.",
        "en": "The message is longer than the window of {model}: about {tokens} tokens of {limit}. Shorten it.",
    },
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


def render(code: str, language: Language, values: Mapping[str, Any] | None = None) -> str:
    """Give the text of ``code`` in ``language`` with its values filled in.

    Raises KeyError for a code or a value that the catalogue does not have: that is a mistake of ours, not of the user.
    """
    return TEXTS[code][language].format_map(values or {})


def preferred_language(accept_language: str | None, default: Language = "en") -> Language:
    """Choose between Russian and English by an ``Accept-Language`` header (RFC 9110, section 12.5.4)."""
    best: tuple[float, Language] | None = None
    for part in (accept_language or "").split(",")[:20]:
        tag, _, parameters = part.partition(";")
        primary = tag.strip().lower().split("-")[0]
        if primary not in LANGUAGES:
            continue
        quality = _quality(parameters)
        if quality > 0 and (best is None or quality > best[0]):
            best = (quality, "ru" if primary == "ru" else "en")
    return best[1] if best else default


def language_of(text: str) -> Language:
    """Tell the language of a person's own words: Russian when Cyrillic letters are not fewer than Latin ones."""
    cyrillic = sum("а" <= character <= "я" or character == "ё" for character in text.lower())
    latin = sum("a" <= character <= "z" for character in text.lower())
    return "ru" if cyrillic and cyrillic >= latin else "en"


def _quality(parameters: str) -> float:
    name, _, value = parameters.strip().partition("=")
    if name != "q":
        return 1.0
    try:
        return float(value)
    except ValueError:
        return 0.0
