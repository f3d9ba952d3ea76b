"""The whole error tree.

    TelefonistError
    ├── InvalidInput                 422  the caller's request; names the fields
    ├── NotFound                     404
    ├── Conflict                     409
    ├── PayloadTooLarge              413
    ├── BodyTimeout                  408  the body did not arrive in time
    ├── RateLimited                  429  with Retry-After
    ├── AuthenticationRequired       401
    │   ├── CredentialsRefused            what was shown is no key or token of ours, or no longer
    │   └── LoginFailed                   no such user, or another password: nobody learns which
    ├── SignatureInvalid             401  a signed message that cannot be trusted
    ├── AccessDenied                 403
    ├── InsufficientCredits          402
    ├── Unavailable                  503  with Retry-After: storage or Redis away, shutting down
    ├── LeaseLost                         never leaves the house: somebody else works on that conversation now
    ├── ConfigurationError                stops the start; its text says what to do
    ├── TelegramFailure              502  the Bot API refused, or did not answer
    └── ProviderError                502  an upstream model; ``repeatable`` says whether a second try is safe
        ├── ProviderUnreachable           no connection
        │   └── ProviderUntrusted             a certificate that we do not trust
        ├── ProviderTimeout          504
        ├── ProviderRateLimited           429 upstream, with Retry-After
        ├── ProviderFailed                5xx upstream
        ├── ProviderCredentialsRefused    401 and 403 upstream: our key, not our caller's
        ├── ProviderOutOfFunds            402 upstream: our balance, not our caller's
        ├── ProviderRejectedRequest  400  4xx upstream: the caller's request as the provider sees it
        └── ProviderProtocolError         an answer that is not the protocol

Raised once, where the cause is known; each door has its own envelope. ``code`` finds the text for people in the
catalogue in ``texts/``; ``values`` fill it and never hold a secret.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from telefonist import texts
from telefonist.types import Language


class TelefonistError(Exception):
    """Anything that goes wrong in a way we know."""

    status: ClassVar[int] = 500
    code: str = "internal_error"

    def __init__(self, code: str | None = None, /, **values: Any) -> None:
        self.code = code or self.code
        self.values = values
        super().__init__(self.code)

    def text(self, language: Language) -> str:
        """Say what happened to a person."""
        return texts.render(self.code, language, self.values)

    def __str__(self) -> str:
        return self.text("en")


@dataclass(frozen=True, slots=True)
class FieldProblem:
    """One thing wrong with a request, in the terms of FastAPI's ``detail`` list."""

    type: str
    loc: tuple[str | int, ...]
    msg: str
    input: Any = None
    ctx: dict[str, Any] | None = None


class InvalidInput(TelefonistError):
    """The request is wrong; every problem names its field and the fix."""

    status = 422
    code = "invalid_input"

    def __init__(self, problems: Sequence[FieldProblem]) -> None:
        self.problems = tuple(problems)
        super().__init__(fields="; ".join(f"{'.'.join(map(str, p.loc))}: {p.msg.removesuffix('.')}" for p in problems))


class NotFound(TelefonistError):
    """What the caller names does not exist, or is not the caller's."""

    status = 404


class Conflict(TelefonistError):
    """The request contradicts what is already there."""

    status = 409


class PayloadTooLarge(TelefonistError):
    """The body is over the limit (``limit`` bytes)."""

    status = 413
    code = "payload_too_large"


class BodyTimeout(TelefonistError):
    """The body did not arrive within ``seconds``."""

    status = 408
    code = "body_timeout"


class RateLimited(TelefonistError):
    """Past a limit; ``seconds`` says when to come back."""

    status = 429
    code = "rate_limited"


class AuthenticationRequired(TelefonistError):
    """The caller must show who they are; ``why`` is the code of the text with the reason."""

    status = 401
    code = "authentication_required"

    def text(self, language: Language) -> str:
        reason = {"why": texts.render(self.values["why"], language)} if "why" in self.values else {}
        return texts.render(self.code, language, {**self.values, **reason})


class CredentialsRefused(AuthenticationRequired):
    """A key or a token was shown, and does not hold."""

    code = "credentials_not_accepted"


class LoginFailed(AuthenticationRequired):
    """There is no such user, or the password is another: the answer is the same."""

    code = "login_failed"


class SignatureInvalid(TelefonistError):
    """A message is unsigned, signed by another secret, or signed at another time."""

    status = 401
    code = "signature_mismatch"


class AccessDenied(TelefonistError):
    """The caller is known or anonymous, and this is not for them."""

    status = 403
    code = "account_required"


class InsufficientCredits(TelefonistError):
    """The account, or the budget of its key, does not have what a generation may cost (``need``, in credits)."""

    status = 402
    code = "insufficient_credits"


class Unavailable(TelefonistError):
    """Cannot take work now; ``seconds`` says when to try again."""

    status = 503
    code = "storage_unavailable"


class LeaseLost(TelefonistError):
    """The epoch under which this work was taken is over: its result must not be stored."""


class ConfigurationError(TelefonistError):
    """The service cannot start as it is configured; the text says what to do."""

    def __init__(self, message: str) -> None:
        super().__init__()
        self.message = message

    def text(self, language: Language) -> str:  # noqa: ARG002  written for whoever runs the service, in English
        return self.message


class TelegramFailure(TelefonistError):
    """A call of Telegram's Bot API did not succeed; ``upstream`` is its status, None where no answer came.

    ``retry_after`` is what Telegram asked for, in seconds; ``migrated_to`` the new id of a group that has moved.
    """

    status = 502
    code = "telegram_failed"

    def __init__(
        self,
        upstream: int | None,
        reason: str,
        *,
        retry_after: float | None = None,
        migrated_to: int | None = None,
    ) -> None:
        super().__init__(reason=reason)
        self.upstream = upstream
        self.reason = reason
        self.retry_after = retry_after
        self.migrated_to = migrated_to


class ProviderError(TelefonistError):
    """An upstream model could not answer.

    ``retry_after`` is what the provider asked for, in seconds. Texts are redacted of keys before they come here.
    """

    status = 502
    repeatable: ClassVar[bool] = False

    def __init__(self, provider: str, *, retry_after: float | None = None, **values: Any) -> None:
        super().__init__(provider=provider, **values)
        self.provider = provider
        self.retry_after = retry_after


class ProviderUnreachable(ProviderError):
    """No connection (``reason``)."""

    code = "provider_unreachable"
    repeatable = True


class ProviderUntrusted(ProviderUnreachable):
    """The upstream's certificate could not be verified (``reason``): the next try would meet the same one."""

    repeatable = False


class ProviderTimeout(ProviderError):
    """Silent for ``seconds`` in ``phase``: headers, chunk or total. Not repeated: the model may be at work."""

    status = 504
    code = "provider_timeout"


class ProviderRateLimited(ProviderError):
    """429 upstream (``reason``)."""

    code = "provider_rate_limited"
    repeatable = True


class ProviderFailed(ProviderError):
    """5xx upstream, or a passing 408, 409 or 425, or an error inside an answer with 200 (``status``, ``reason``)."""

    code = "provider_failed"
    repeatable = True


class ProviderCredentialsRefused(ProviderError):
    """401 or 403 upstream (``status``, ``reason``)."""

    code = "provider_credentials_refused"


class ProviderOutOfFunds(ProviderError):
    """402 upstream, or 429 with the code ``insufficient_quota`` (``reason``)."""

    code = "provider_out_of_funds"


class ProviderRejectedRequest(ProviderError):
    """Another 4xx upstream (``status``, ``reason``): repeating it would get the same answer."""

    status = 400
    code = "provider_rejected_request"


class ProviderProtocolError(ProviderError):
    """What came back is not the protocol (``reason``)."""

    code = "provider_protocol_error"
