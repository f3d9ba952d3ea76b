"""What accounts, their keys, limits and money are refused."""

from telefonist.types import Catalogue

TEXTS: Catalogue = {
    "insufficient_credits": {
        "ru": "Недостаточно кредитов: доступно {available} (баланс {balance}), нужно {need}. Пополните баланс.",
        "en": "Not enough credits: {available} available (balance {balance}), {need} needed. Top up the balance.",
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
        "en": "Streams that this key may have open at once: {limit}. Wait for one of them to end.",
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
}
