# SPDX-License-Identifier: Apache-2.0
"""Sign people in at the city's own single sign-on: OpenID Connect, authorisation code with PKCE.

The browser is sent there with `state`, `nonce` and a challenge, and comes back with a code, which is exchanged for an ID
token (OpenID Connect Core 1.0, 3.1; RFC 7636). Invariants: a code counts only in the browser that began, once, within ten
minutes; the token's signature, algorithm, issuer, audience, time and nonce are checked; nobody gets an account by signing in:
a person was created before, with the login that the single sign-on vouches for.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import ipaddress
import logging
import secrets
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

import httpx2
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from control.errors import SignOnUnavailable, WrongCredentials

__all__ = ["Identity", "SignOnConfig", "SingleSignOn"]

ALGORITHMS: Final = ("RS256", "PS256", "ES256", "EdDSA")  # of an ID token's signature; never none, never a shared secret
BEGUN_S: Final = 600.0  # how long somebody may take at the single sign-on [s]
BEGUN_MAX: Final = 10_000  # sign-ins under way; past it the oldest is forgotten
KNOWN_S: Final = 3600.0  # how long its addresses and keys are kept [s]
LEEWAY_S: Final = 60  # by which its clock may differ [s]
SUBJECT_MAX: Final = 255  # characters of a `sub` (OpenID Connect Core 1.0, 2)
ANSWER_MAX: Final = 1 << 20  # of what it answers [bytes]
TIMEOUT_S: Final = 10.0  # for one answer [s]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SignOnConfig:
    """How the single sign-on is reached.

    Attributes
    ----------
    issuer : str
        Its address, https (http on loopback only), as it names itself.
    client_id, client_secret : str
        What Tirta is there.
    callback : str
        Address of Tirta to which the browser comes back.
    claim : str
        What of a token is the login; an `email` must be verified.
    """

    issuer: str
    client_id: str
    client_secret: str = field(repr=False)
    callback: str
    claim: str = "email"


@dataclass(frozen=True, slots=True)
class Identity:
    """Who somebody is at the single sign-on, and the login it vouches for."""

    issuer: str
    subject: str
    login: str


@dataclass(frozen=True, slots=True)
class _Begun:
    state: str
    nonce: str
    verifier: str
    at_s: float


class SingleSignOn:
    """A client of one single sign-on; used from the event loop alone.

    Parameters
    ----------
    monotonic : callable
        Returns a time that only goes forward. [s]
    wall_ms : callable
        Returns the time on the wall. [ms since the Unix epoch]
    transport : httpx2 transport or None
        Instead of the network.
    """

    def __init__(
        self,
        config: SignOnConfig,
        monotonic: Callable[[], float],
        wall_ms: Callable[[], int],
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        self.config = config
        self._monotonic = monotonic
        self._wall_ms = wall_ms
        self._transport = transport
        self._begun: OrderedDict[str, _Begun] = OrderedDict()
        self._known: tuple[float, Mapping[str, Any], KeySet] | None = None

    async def begin(self) -> tuple[str, str]:
        """Return the address to send the browser to, and what it is to hold until it comes back.

        Raises
        ------
        SignOnUnavailable
            The single sign-on does not answer.
        """
        about, _ = await self._about()
        held = secrets.token_urlsafe(32)
        begun = _Begun(secrets.token_urlsafe(24), secrets.token_urlsafe(24), secrets.token_urlsafe(48), self._monotonic())
        self._begun[_digest(held)] = begun
        while len(self._begun) > BEGUN_MAX:
            self._begun.popitem(last=False)
        challenge = base64.urlsafe_b64encode(hashlib.sha256(begun.verifier.encode()).digest()).decode().rstrip("=")
        query = {
            "response_type": "code",
            "client_id": self.config.client_id,
            "redirect_uri": self.config.callback,
            "scope": "openid email profile",
            "state": begun.state,
            "nonce": begun.nonce,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        address = str(about["authorization_endpoint"])
        return f"{address}{'&' if '?' in address else '?'}{urlencode(query)}", held

    async def finish(self, held: str, state: str, code: str) -> Identity:
        """Return who came back.

        Raises
        ------
        WrongCredentials
            It is not the browser that began, too late, or not a token for us; the log says which.
        SignOnUnavailable
            The single sign-on does not answer.
        """
        begun = self._begun.pop(_digest(held), None)
        if (
            begun is None
            or self._monotonic() - begun.at_s > BEGUN_S
            or not hmac.compare_digest(begun.state.encode(), state.encode("utf-8", "replace"))
        ):
            raise _refused("not begun here, or too late")
        about, keys = await self._about()
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self.config.callback,
            "code_verifier": begun.verifier,
        }
        answer = await self._ask("POST", str(about["token_endpoint"]), form)
        claims = self._claims(str(answer.get("id_token", "")), keys, begun.nonce)
        if self.config.claim not in claims and "userinfo_endpoint" in about:
            more = await self._ask("GET", str(about["userinfo_endpoint"]), bearer=str(answer.get("access_token", "")))
            if more.get("sub") != claims["sub"]:  # OpenID Connect Core, 5.3.2
                raise _refused("its userinfo is about somebody else")
            claims = {**more, **claims}
        return self._identity(claims)

    def _claims(self, token: str, keys: KeySet, nonce: str) -> Mapping[str, Any]:
        claims_wanted = jwt.JWTClaimsRegistry(
            now=self._wall_ms() // 1000,
            leeway=LEEWAY_S,
            iss={"essential": True, "value": self.config.issuer},
            aud={"essential": True, "value": self.config.client_id},
            sub={"essential": True},
            exp={"essential": True},
            iat={"essential": True},
            nonce={"essential": True, "value": nonce},
        )
        try:
            claims = jwt.decode(token, keys, algorithms=list(ALGORITHMS)).claims
            claims_wanted.validate(claims)
        except (JoseError, ValueError) as exc:
            self._known = None  # the keys may have been changed: they are asked for anew
            raise _refused(f"its token is not valid: {exc}") from exc
        several = isinstance(claims["aud"], list) and len(claims["aud"]) > 1
        if (several or "azp" in claims) and claims.get("azp") != self.config.client_id:
            raise _refused("its token is for somebody else too")
        return claims

    def _identity(self, claims: Mapping[str, Any]) -> Identity:
        login = claims.get(self.config.claim)
        if not isinstance(login, str) or not login:
            raise _refused(f"its token has no {self.config.claim}")
        if self.config.claim == "email" and claims.get("email_verified") is not True:
            raise _refused("its e-mail address is not verified there")
        subject = str(claims["sub"])
        # Made lower, letters beyond ASCII may become another's: KELVIN SIGN becomes k. A cut subject may be another's too.
        if not login.isascii() or len(subject) > SUBJECT_MAX:
            raise _refused(f"its {self.config.claim} is not ASCII, or its sub is longer than {SUBJECT_MAX}")
        return Identity(self.config.issuer, subject, login.strip().lower())

    async def _about(self) -> tuple[Mapping[str, Any], KeySet]:
        """Return its addresses and keys, asked for once in an hour."""
        if self._known is None or self._monotonic() - self._known[0] > KNOWN_S:
            about = await self._ask("GET", f"{self.config.issuer.rstrip('/')}/.well-known/openid-configuration")
            if about.get("issuer") != self.config.issuer:
                raise SignOnUnavailable("it names itself otherwise than the setting oidc.issuer")
            for name in ("authorization_endpoint", "token_endpoint", "jwks_uri"):
                _require_safe(str(about.get(name, "")))  # a userinfo_endpoint is looked at when it is asked
            try:
                keys = KeySet.import_key_set(await self._ask("GET", str(about["jwks_uri"])))  # type: ignore[arg-type]
            except (JoseError, ValueError, KeyError) as exc:
                raise SignOnUnavailable("its keys cannot be read") from exc
            self._known = (self._monotonic(), about, keys)
        return self._known[1], self._known[2]

    async def _ask(
        self, method: str, address: str, form: Mapping[str, str] | None = None, *, bearer: str | None = None
    ) -> Mapping[str, Any]:
        _require_safe(address)
        headers = {} if bearer is None else {"authorization": f"Bearer {bearer}"}
        login = httpx2.BasicAuth(self.config.client_id, self.config.client_secret) if form is not None else None
        try:
            async with httpx2.AsyncClient(timeout=TIMEOUT_S, follow_redirects=False, transport=self._transport) as client:
                answer = await client.request(method, address, data=form, auth=login, headers=headers)
                body = answer.json() if len(answer.content) <= ANSWER_MAX else None
        except (httpx2.HTTPError, ValueError) as exc:
            raise SignOnUnavailable(f"no answer from {urlsplit(address).netloc}") from exc
        if answer.status_code == 400 and form is not None:
            raise _refused(f"it does not take the code: {str(body)[:200]}")
        if not answer.is_success or not isinstance(body, dict):
            raise SignOnUnavailable(f"{urlsplit(address).netloc} answered {answer.status_code}")
        return body


def _require_safe(address: str) -> None:
    """Refuse an address whose answers anybody on the way could write."""
    parts = urlsplit(address)
    if parts.scheme == "https" and parts.hostname:
        return
    try:
        local = ipaddress.ip_address(parts.hostname or "").is_loopback
    except ValueError:
        local = parts.hostname == "localhost"
    if parts.scheme != "http" or not local:
        raise SignOnUnavailable("its addresses must be https")


def _refused(why: str) -> WrongCredentials:
    logger.warning("single sign-on refused: %s", why, extra={"action": "sign_on_refused"})
    return WrongCredentials()


def _digest(held: str) -> str:
    return hashlib.sha256(held.encode("utf-8", "replace")).hexdigest()
