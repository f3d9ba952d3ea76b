"""Who knocks: an account that shows a key or an access token, or a caller without one."""

from starlette.requests import HTTPConnection

from telefonist.core.identification import Identification
from telefonist.doors.local_access import AccessPolicy, language_of
from telefonist.errors import AccessDenied, AuthenticationRequired, CredentialsRefused
from telefonist.types import AccountRole, Caller


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
        shown = request.headers.getlist("authorization")
        if not shown:
            return self.policy.anonymous(request)
        scheme, _, credential = shown[0].partition(" ")
        credential = credential.strip()
        if len(shown) > 1 or scheme.lower() != "bearer" or not credential:
            raise CredentialsRefused
        return await self._identification.identify(credential, self.policy.address(request), language_of(request))

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
