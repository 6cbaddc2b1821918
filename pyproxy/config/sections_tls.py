"""The sections of the configuration that speak of TLS, and what is read of the files they name.

`pyproxy.tls.files` fills the `read` of a section and makes its paths absolute; whoever serves the
configuration needs no file any more. How the structs are written is told in `model`.
"""

from typing import Annotated, ClassVar, Literal

import msgspec
from msgspec import Meta

from pyproxy.config.section import HIDDEN, ONE_OR_NONE, Section

Version = Literal["1.2", "1.3"]
_PATH = "A path, relative to the folder of the configuration, or the PEM text itself."


MinVersion = Annotated[Version, Meta(description="The oldest version of TLS.")]
MaxVersion = Annotated[Version, Meta(description="The newest version of TLS.")]
Ciphers = Annotated[
    str,
    Meta(
        description="Cipher suites of TLS 1.2, as OpenSSL writes them. Empty: forward secret ones "
        "with authenticated encryption.",
        examples=["ECDHE+AESGCM:ECDHE+CHACHA20"],
    ),
]
Ciphersuites = Annotated[
    str,
    Meta(
        description="Cipher suites of TLS 1.3. Empty: OpenSSL's.",
        examples=["TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256"],
    ),
]
Groups = Annotated[
    str,
    Meta(
        description="Groups of the key exchange, best first. Empty: OpenSSL's, which begin with "
        "the post-quantum hybrid X25519MLKEM768.",
        examples=["X25519MLKEM768:X25519:P-256"],
    ),
]
KEY_LOG = Meta(
    description="A file that gets the keys of all sessions, for Wireshark. Whoever has it can read "
    "everything: for debugging only."
)


class FileLook(msgspec.Struct, frozen=True):
    """A file that was read beside the configuration; all but the path change when the file does."""

    path: str
    inode: int
    size: int
    mtime_ns: int


class CertificateFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What a certificate says. Times are Unix time, the fingerprint is SHA-256 in hexadecimal."""

    subject: str
    issuer: str
    serial: str
    names: tuple[str, ...]
    uris: tuple[str, ...] = ()
    key_kind: str
    not_before: int
    not_after: int
    fingerprint: str


class PairRead(msgspec.Struct, frozen=True, kw_only=True):
    """A certificate that can be used: PEM of the chain, leaf first, and of the key, open.

    `remarks` are things that are wrong but do not keep it from being used.
    """

    chain: bytes
    key: bytes
    ocsp: bytes = b""
    facts: CertificateFacts
    remarks: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"<{self.facts.subject}>"


class TrustRead(msgspec.Struct, frozen=True, kw_only=True):
    """Certificates that others are verified with: PEM, or a folder where the library looks."""

    bundle: bytes = b""
    folder: str = ""
    facts: tuple[CertificateFacts, ...] = ()

    def __repr__(self) -> str:
        return f"<{len(self.facts)} certificates>"


class Certificate(Section, frozen=True, kw_only=True):
    """A certificate and its key. One word stands for `{cert: word}`: a file that holds both."""

    shorthand: ClassVar[str] = "cert"

    cert: Annotated[
        str,
        Meta(
            description="The certificate, then those who signed it, except the root. " + _PATH,
            examples=["/etc/pyproxy/example.com.crt"],
        ),
    ]
    key: Annotated[
        str,
        Meta(
            description="Its private key, the same way. Absent: it is in the file of `cert`.",
            examples=["/etc/pyproxy/example.com.key", "secret://env/TLS_KEY"],
        ),
    ] = ""
    passphrase: Annotated[
        str,
        Meta(description="Opens an encrypted key.", examples=["secret://file/run/secrets/tls"]),
    ] = ""
    ocsp: Annotated[
        str, Meta(description="A file with the OCSP response (DER) that is sent along.")
    ] = ""
    hosts: Annotated[
        tuple[str, ...],
        ONE_OR_NONE,
        Meta(
            description="The names (SNI) it is chosen for, exact or `*.suffix`. Absent: those "
            "that stand in it.",
            examples=[["example.com", "*.example.com"]],
        ),
    ] = ()
    read: Annotated[PairRead | None, HIDDEN] = None

    @property
    def names(self) -> tuple[str, ...]:
        """The names it is chosen for, in lower case, once it has been read."""
        names = self.hosts or (self.read.facts.names if self.read else ())
        return tuple(name.lower() for name in names)


class ClientCertificates(Section, frozen=True, kw_only=True):
    """Certificates that clients show. One word stands for `{ca: word}`."""

    shorthand: ClassVar[str] = "ca"

    ca: Annotated[
        str,
        Meta(
            description="Who must have signed them. " + _PATH,
            examples=["/etc/pyproxy/clients.pem"],
        ),
    ]
    mode: Annotated[
        Literal["required", "optional"],
        Meta(
            description="`required`: no connection without one. `optional`: filters and the origin "
            "decide; a wrong one ends the handshake all the same."
        ),
    ] = "required"
    read: Annotated[TrustRead | None, HIDDEN] = None


class Tls(Section, frozen=True, kw_only=True):
    """TLS of a listener. One word stands for `{cert: word}`."""

    shorthand: ClassVar[str] = "cert"

    cert: Annotated[
        str | None,
        Meta(
            description="Short for `certificates` with one entry.",
            examples=["/etc/pyproxy/example.com.crt"],
        ),
    ] = None
    key: Annotated[
        str | None,
        Meta(description="The same for its `key`.", examples=["/etc/pyproxy/example.com.key"]),
    ] = None
    passphrase: Annotated[str, Meta(description="The same for its `passphrase`.")] = ""
    certificates: Annotated[
        tuple[Certificate, ...],
        ONE_OR_NONE,
        Meta(
            description="Chosen by the name that the client asks for (SNI): an exact name goes "
            "before a wildcard; of several for one name, the client's abilities decide. The first "
            "one is for everybody else.",
            examples=[[{"cert": "a.crt", "key": "a.key"}, {"cert": "b.crt", "key": "b.key"}]],
        ),
    ] = ()
    client_certificates: Annotated[
        ClientCertificates | None, Meta(description="Ask clients for theirs. Absent: do not.")
    ] = None
    min_version: MinVersion = "1.2"
    max_version: MaxVersion = "1.3"
    ciphers: Ciphers = ""
    ciphersuites: Ciphersuites = ""
    groups: Groups = ""
    alpn: Annotated[
        tuple[str, ...] | None,
        Meta(
            description="Protocols offered to clients, best first. Absent: all that `protocol` "
            "has; a tcp listener offers none.",
            examples=[["http/1.1"]],
        ),
    ] = None
    key_log: Annotated[str, KEY_LOG] = ""


class UpstreamTls(Section, frozen=True, kw_only=True):
    """TLS towards the endpoints of an upstream. `tls: true` stands for all defaults."""

    verify: Annotated[
        bool,
        Meta(
            description="Whether an endpoint must show a certificate for its name that `ca` has "
            "signed. Without, anybody on the way can read and change everything."
        ),
    ] = True
    ca: Annotated[
        str,
        Meta(
            description="Who must have signed the certificates of endpoints. "
            + _PATH
            + " Or a folder that `openssl rehash` has prepared. Empty: whom the system trusts.",
            examples=["/etc/pyproxy/internal-ca.pem"],
        ),
    ] = ""
    server_name: Annotated[
        str,
        Meta(
            description="The name that is asked for (SNI) and verified. Empty: that of the "
            "endpoint.",
            examples=["app.internal"],
        ),
    ] = ""
    cert: Annotated[
        str, Meta(description="The certificate to show to endpoints that ask. " + _PATH)
    ] = ""
    key: Annotated[
        str, Meta(description="Its private key. Absent: it is in the file of `cert`.")
    ] = ""
    passphrase: Annotated[str, Meta(description="Opens an encrypted key.")] = ""
    min_version: MinVersion = "1.2"
    max_version: MaxVersion = "1.3"
    ciphers: Ciphers = ""
    ciphersuites: Ciphersuites = ""
    groups: Groups = ""
    key_log: Annotated[str, KEY_LOG] = ""
    read: Annotated[TrustRead | None, HIDDEN] = None
    pair: Annotated[PairRead | None, HIDDEN] = None
