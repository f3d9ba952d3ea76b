"""Who knocks: an account that shows a key or an access token, or a caller without one."""

from typing import Any

from fastapi import Depends
from fastapi.security import HTTPBearer, OAuth2PasswordBearer
from starlette.requests import HTTPConnection

from telefonist.core.identification import Identification
from telefonist.doors.local_access import AccessPolicy, language_of
from telefonist.errors import AccessDenied, AuthenticationRequired, CredentialsRefused
from telefonist.types import AccountRole, Caller

_LOGIN = Depends(
    OAuth2PasswordBearer(
        tokenUrl="auth/login",
        scheme_name="login",
        description="E-mail address and password; the token that comes back is good for 15 minutes.",
        auto_error=False,
    )
)
_KEY = Depends(HTTPBearer(scheme_name="key", description="An API key (tf-…) or an access token.", auto_error=False))

NEEDS_LOGIN = (_LOGIN,)
"""Dependencies of routes that want a login: they tell the API's description so, and decide nothing."""

NEEDS_ACCOUNT = (_LOGIN, _KEY)
"""The same of routes that a key opens too."""

MAY_BE_ANONYMOUS: dict[str, Any] = {"security": [{}]}
"""What stands in the description of a route beside these where a caller may do without: its ``openapi_extra``."""


class Authentication:
    """Tells each door who its caller is.

    Credentials come as ``Authorization: Bearer ...`` (RFC 6750) and in no other way: never in a URL, which logs keep.
    Whoever shows a credential is never treated as anonymous; one that does not hold is always a 401.
    """

    def __init__(self, policy: AccessPolicy, identification: Identification) -> None:
        self.policy = policy
        self._identification = identification

    async def caller(self, request: HTTPConnection) -> Caller:
        """Tell who calls: by key, by token, or anonymous where the policy takes such.

        Raises AuthenticationRequired, and Unavailable while storage is away.
        """
        shown = [value for name, value in request.scope["headers"] if name == b"authorization"]
        if not shown:
            return self.policy.anonymous(request)
        scheme, _, credential = shown[0].decode("latin-1").partition(" ")
        credential = credential.strip()
        if len(shown) > 1 or scheme.lower() != "bearer" or not credential:
            raise CredentialsRefused
        return await self._identification.identify(credential, self.policy.address(request), language_of(request))

    async def account(self, request: HTTPConnection) -> Caller:
        """Tell who calls, who must have an account, by key or by token; raises as ``caller`` does."""
        if "authorization" not in request.headers:
            raise AuthenticationRequired("account_needed")
        return await self.caller(request)

    async def person(self, request: HTTPConnection) -> Caller:
        """Tell who calls, who must have logged in: programs with a key do not manage accounts.

        Raises AuthenticationRequired, AccessDenied for a key, and Unavailable.
        """
        if "authorization" not in request.headers:
            raise AuthenticationRequired("login_required")
        caller = await self.caller(request)
        if caller.session_id is None:
            raise AccessDenied("login_not_a_key")
        return caller

    async def admin(self, request: HTTPConnection) -> Caller:
        """Tell who calls, who must have logged in and be an administrator; raises as ``person`` does."""
        caller = await self.person(request)
        if caller.role is not AccountRole.ADMIN:
            raise AccessDenied("admin_required")
        return caller
