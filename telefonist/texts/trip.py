"""What ``telefonist demo`` says on the way of a message."""

from telefonist.types import Catalogue

TEXTS: Catalogue = {
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
}
