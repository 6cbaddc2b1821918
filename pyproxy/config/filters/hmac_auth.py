"""Signatures of requests."""

from base64 import b64decode
from binascii import Error
from typing import Annotated, ClassVar, Literal

from msgspec import Meta, field

from pyproxy.config.faults import Report, is_field_value, is_token
from pyproxy.config.filters.places import Authentication, check_header_name, check_realm
from pyproxy.config.units import Duration, Size

__all__ = ["DERIVED", "HmacAuthFilter"]

DERIVED = ("@method", "@target-uri", "@authority", "@scheme", "@request-target", "@path", "@query")
"""The derived components of requests (RFC 9421 section 2.2), without `@query-param`."""

_SHORTEST_SECRET = 16


class HmacAuthFilter(Authentication, frozen=True, kw_only=True):
    """Lets in requests that are signed with a shared secret, as HTTP Message Signatures.

    That is RFC 9421 with `hmac-sha256`: the fields `Signature-Input` and `Signature`, of which one
    signature must hold. `keyid` names the key, and so who it is; `created` must be there and may
    be at most `max_skew` from our clock; `expires` counts where it is given. A signature must cover
    at least `components`: derived components (`@method`, `@authority`, `@path`, `@query`,
    `@target-uri`, `@request-target`, `@scheme`) and names of fields. Components with parameters are
    not understood.

    With `verify_body` a request that has a body must have it covered, by `content-digest` (RFC
    9530, sha-256 or sha-512). The body is collected for that, up to `max_body`; longer ones get
    413.

    A request that was seen can be sent again within `max_skew`. The consumer goes upstream in a
    header, which clients cannot forge; Python filters have it as `exchange.state["consumer"]`.
    """

    default_priority: ClassVar[int] = 5300
    python_class: ClassVar[str] = "pyproxy.filters.hmac_auth:HmacAuth"
    example: ClassVar[str] = """\
- hmac_auth:
    keys:
      shop: a-shared-secret-from-secret://env/SHOP_SECRET
    components: ["@method", "@authority", "@path", "@query", date]
    verify_body: yes
    max_body: 64KiB
"""

    keys: Annotated[
        dict[str, str],
        Meta(
            description="The `keyid` of each consumer, which is its name, and its secret.",
            examples=[{"shop": "secret://env/SHOP_SECRET"}],
        ),
    ]
    encoding: Annotated[
        Literal["text", "base64"],
        Meta(description="Are the secrets what is written, or is that base64 of them?"),
    ] = "text"
    components: Annotated[
        tuple[str, ...],
        Meta(description="What a signature must cover at least."),
    ] = ("@method", "@authority", "@path", "@query")
    max_skew_ms: Annotated[
        Duration, Meta(description="How old, or how far ahead, `created` may be.")
    ] = field(name="max_skew", default=300_000)
    verify_body: Annotated[
        bool, Meta(description="Bodies must be covered, and are compared with their digests.")
    ] = False
    max_body_bytes: Annotated[
        Size, Meta(ge=1, le=64 * 2**20, description="Bytes of a body that is verified.")
    ] = field(name="max_body", default=1_048_576)
    consumer_header: Annotated[
        str, Meta(description="The header that tells the endpoint who it is.")
    ] = "x-consumer"

    def secret_of(self, text: str) -> bytes:
        """A secret as bytes; ValueError when it is no base64."""
        if self.encoding == "text":
            return text.encode()
        try:
            return b64decode(text, validate=True)
        except Error as error:
            raise ValueError("not base64") from error

    def check(self, report: Report, path: str) -> None:
        """Can keys and components be used?"""
        check_realm(self, report, path, self.realm)
        check_header_name(self, "consumer_header", self.consumer_header, report, path)
        if not self.keys:
            report.add(self, "keys", "nobody has a key", "name a consumer and its key", path=path)
        for name, text in self.keys.items():
            at = ("keys", name)
            if not name or not name.isascii() or not is_field_value(name):
                report.add(self, at, "a consumer's name is a header's value", path=path)
            try:
                short = len(self.secret_of(text)) < _SHORTEST_SECRET
            except ValueError:
                report.add(self, at, "the secret is not base64", path=path)
                continue
            if short:
                cure = "it takes 16 bytes"
                report.add(self, at, "a secret that short can be guessed", cure, path=path)
        for i, name in enumerate(self.components):
            derived = name.startswith("@")
            if name not in DERIVED if derived else not is_token(name) or name != name.lower():
                message = f'"{name}" is no component of a request'
                cure = f"write the name of a field in lower case, or one of {', '.join(DERIVED)}"
                report.add(self, ("components", i), message, cure, path=path)
        if not self.max_skew_ms:
            cure = "give it a time"
            report.add(self, "max_skew", "no request would be in time", cure, path=path)
