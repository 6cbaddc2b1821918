"""JSON Web Tokens."""

from pathlib import Path
from typing import Annotated, ClassVar, Literal

from msgspec import Meta, field

from pyproxy.config.faults import Report
from pyproxy.config.filters.packages import check_package
from pyproxy.config.filters.places import Credentials, check_header_name
from pyproxy.config.section import ONE_OR_NONE
from pyproxy.config.units import Duration

__all__ = ["JwtFilter"]

_SHORTEST_SECRET = 32  # bytes: RFC 7518 section 3.2, for HS256


class JwtFilter(Credentials, frozen=True, kw_only=True):
    """Lets in who shows a JSON Web Token that was signed with a key we trust.

    The signature, the algorithm, `exp` and `nbf` are checked, and `iss` and `aud` where they are
    given. Requests without a token or with one that does not hold are answered with 401 and a
    `WWW-Authenticate` as RFC 6750 has it. Keys are a shared secret, a public key, or a key set
    (RFC 7517) from a file or a URL. A key set is read again when it has changed (a file is looked
    at every two seconds) or after `jwks_refresh`, and at once when a token names a key that is not
    in it (but not more often than `jwks_cooldown`); as long as a URL does not answer, the keys it
    had last are used, and before there were any, requests with tokens are answered with 503.

    Tokens that were found good are remembered until they expire or the key set changes, so that
    they cost next to nothing. Claims can be passed on in headers (which clients cannot forge);
    Python filters have all of them as `exchange.state["claims"]`.

    It needs `pip install 'pyproxy[jwt]'`.
    """

    default_priority: ClassVar[int] = 5600
    python_class: ClassVar[str] = "pyproxy.filters.jwt:Jwt"
    example: ClassVar[str] = """\
- jwt:
    algorithms: HS256
    secret: a-secret-of-at-least-32-bytes-which-should-be-secret://env/JWT_SECRET
    issuer: https://login.example
    audience: [shop, reports]
    claims_to_headers: {x-user: sub, x-roles: realm.roles}
"""

    algorithms: Annotated[
        tuple[
            Literal[
                "HS256",
                "HS384",
                "HS512",
                "RS256",
                "RS384",
                "RS512",
                "PS256",
                "PS384",
                "PS512",
                "ES256",
                "ES384",
                "ES512",
                "EdDSA",
                "Ed25519",
            ],
            ...,
        ],
        Meta(
            extra={"single": True},
            min_length=1,
            description="Which signatures count. HS goes with `secret`, all others do not.",
        ),
    ]
    secret: Annotated[str, Meta(description="The shared secret of HS256, HS384 and HS512.")] = ""
    public_key: Annotated[
        str,
        Meta(
            description="A public key or certificate in PEM.",
            examples=["secret://file/etc/pyproxy/login.pem"],
        ),
    ] = ""
    jwks: Annotated[
        str,
        Meta(
            description="A key set: the URL (https) or the file, relative to the configuration's.",
            examples=["https://login.example/.well-known/jwks.json"],
        ),
    ] = ""
    issuer: Annotated[
        tuple[str, ...],
        ONE_OR_NONE,
        Meta(description="`iss` must be one of these. Absent: it is not looked at."),
    ] = ()
    audience: Annotated[
        tuple[str, ...],
        ONE_OR_NONE,
        Meta(
            description="`aud` must have one of these. Absent: it is not looked at, and tokens "
            "made for others are good here, too."
        ),
    ] = ()
    require_exp: Annotated[
        bool, Meta(description="Refuse tokens that never expire (that have no `exp`).")
    ] = True
    leeway_ms: Annotated[
        Duration, Meta(description="How far the clocks may be apart, for `exp` and `nbf`.")
    ] = field(name="leeway", default=30_000)
    header: Annotated[
        str,
        Meta(
            description="A header; empty: none. In `authorization` the token follows the word "
            "Bearer, in others it may."
        ),
    ] = "authorization"
    claims_to_headers: Annotated[
        dict[str, str],
        Meta(
            description="Headers of the request, and the claim that each gets; dots lead into "
            "objects, lists are joined by commas. Without that claim there is no such header.",
            examples=[{"x-user": "sub"}],
        ),
    ] = field(default_factory=dict)
    optional: Annotated[
        bool,
        Meta(description="Let requests without a token go on (without headers of claims)."),
    ] = False
    jwks_refresh_ms: Annotated[
        Duration, Meta(description="How long a key set from a URL is good.")
    ] = field(name="jwks_refresh", default=600_000)
    jwks_cooldown_ms: Annotated[
        Duration, Meta(description="A URL is not asked more often than that, whatever tokens say.")
    ] = field(name="jwks_cooldown", default=10_000)
    jwks_timeout_ms: Annotated[
        Duration, Meta(description="How long the answer of a URL may take.")
    ] = field(name="jwks_timeout", default=5_000)
    cache: Annotated[
        int,
        Meta(
            ge=0,
            le=1_000_000,
            description="How many tokens each worker remembers; those of more than 4 KiB are not.",
        ),
    ] = 4096

    @property
    def is_url(self) -> bool:
        """Does the key set come from a URL?"""
        return self.jwks.startswith(("https://", "http://"))

    @property
    def jwks_file(self) -> Path:
        """The file of the key set."""
        folder = Path(self.place.file).resolve().parent if self.place.file else Path()
        return folder / self.jwks

    def check(self, report: Report, path: str) -> None:
        """Is there exactly one source of keys, of a kind that fits the algorithms?"""
        check_package(self, "joserfc", "jwt", report, path)
        self.check_places(report, path)
        given = [name for name in ("secret", "public_key", "jwks") if getattr(self, name)]
        if len(given) != 1:
            what = "no key" if not given else f"{given[0]} and {given[1]} are both given"
            report.add(self, "", what, "give one of secret, public_key and jwks", path=path)
        else:
            self._check_algorithms(given[0], report, path)
        if self.secret and len(self.secret.encode()) < _SHORTEST_SECRET:
            cure = "it takes 32 bytes"
            report.add(self, "secret", "a secret that short can be guessed", cure, path=path)
        if self.jwks and not self.is_url and not self.jwks_file.is_file():
            report.add(self, "jwks", f"there is no file {self.jwks_file}", path=path)
        for name, claim in self.claims_to_headers.items():
            keys = ("claims_to_headers", name)
            check_header_name(self, keys, name, report, path)
            if not all(claim.split(".")):
                report.add(self, keys, f'"{claim}" is not the name of a claim', path=path)

    def _check_algorithms(self, source: str, report: Report, path: str) -> None:
        # A public key taken for a shared secret is one that everybody knows.
        for i, name in enumerate(self.algorithms):
            if name.startswith("HS") != (source == "secret"):
                wanted = "a secret" if name.startswith("HS") else "public_key or jwks"
                report.add(self, ("algorithms", i), f"{name} goes with {wanted}", path=path)
