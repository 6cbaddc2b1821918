"""Names and passwords."""

import re
from pathlib import Path
from typing import Annotated, ClassVar

from msgspec import Meta, field

from pyproxy.config.faults import Report, is_field_value
from pyproxy.config.filters.packages import check_package
from pyproxy.config.filters.places import Authentication, check_header_name, check_realm
from pyproxy.config.units import Duration

__all__ = ["BasicAuthFilter", "is_hash", "read_htpasswd"]

# The forms of bcrypt (https://passlib.readthedocs.io) and of Argon2's PHC strings.
BCRYPT = re.compile(r"\$2[aby]\$(?:0[4-9]|[12]\d|3[01])\$[./A-Za-z0-9]{53}")
ARGON2 = re.compile(
    r"\$argon2id\$v=19\$m=\d{1,8},t=\d{1,4},p=\d{1,3}\$[+/A-Za-z0-9]+\$[+/A-Za-z0-9]+"
)
_CURE = "make one with `htpasswd -nB NAME` (bcrypt) or `argon2 SALT -id -e`"


def is_hash(text: str) -> bool:
    """Is this a hash of a kind that can be verified?"""
    return BCRYPT.fullmatch(text) is not None or ARGON2.fullmatch(text) is not None


def read_htpasswd(text: str) -> dict[str, str]:
    """The users of an htpasswd file: `name:hash` lines, blank lines and # comments between.

    ValueError (`what; cure`, with the line) for a line or a hash that cannot be used.
    """
    users: dict[str, str] = {}
    for number, line in enumerate(map(str.strip, text.splitlines()), 1):
        if not line or line.startswith("#"):
            continue
        name, colon, hashed = line.partition(":")
        if not colon or not name or not is_field_value(name):
            raise ValueError(f"line {number} is not name:hash; {_CURE}")
        if not is_hash(hashed):
            raise ValueError(f"line {number}: not a hash of bcrypt or argon2id; {_CURE}")
        users[name] = hashed
    return users


class BasicAuthFilter(Authentication, frozen=True, kw_only=True):
    """Lets in who knows a name and its password.

    Passwords are kept as hashes, of bcrypt or argon2id, in the configuration or in an htpasswd
    file, which is read again when it has changed (it is looked at every two seconds). They are
    slow to verify, and that is what they are for: it is done in threads of their own, at most two
    a worker, while the worker serves others. When many wait for that, more get 503. What was right
    is remembered for `cache_time`, under a hash that is of no use to anybody else. How long a
    refusal takes does not tell whether there is a user of that name.

    The name goes upstream in a header, which clients cannot forge; Python filters have it as
    `exchange.state["consumer"]`. Without TLS between the client and the proxy everybody on the way
    can read the password.

    bcrypt needs `pip install 'pyproxy[basic-auth]'`. It looks at the first 72 bytes of a password.
    """

    default_priority: ClassVar[int] = 5400
    python_class: ClassVar[str] = "pyproxy.filters.basic_auth:BasicAuth"
    example: ClassVar[str] = """\
- basic_auth:
    realm: staff only
    users: # the password of ann is "correct horse"
      ann: $2b$10$slBoMB92hVy4o35I9rCF3e21eqbLoNME0U7DhHDuxPbGhnwcbZU0.
    hide_credentials: yes
"""

    users: Annotated[
        dict[str, str],
        Meta(description="Names, and the hash of each password.", examples=[{"ann": "$2b$12$..."}]),
    ] = field(default_factory=dict)
    htpasswd: Annotated[
        str,
        Meta(description="A file with more, relative to the configuration's. Empty: none."),
    ] = ""
    consumer_header: Annotated[
        str, Meta(description="The header that tells the endpoint who it is.")
    ] = "x-consumer"
    cache_time_ms: Annotated[
        Duration,
        Meta(description="How long a password that was right is not verified again; 0: always."),
    ] = field(name="cache_time", default=300_000)

    @property
    def htpasswd_file(self) -> Path:
        """The file with more users."""
        folder = Path(self.place.file).resolve().parent if self.place.file else Path()
        return folder / self.htpasswd

    def check(self, report: Report, path: str) -> None:
        """Are there users, with hashes that can be verified?"""
        check_realm(self, report, path, self.realm)
        check_header_name(self, "consumer_header", self.consumer_header, report, path)
        if not self.users and not self.htpasswd:
            report.add(self, "", "there are no users", "give users or htpasswd", path=path)
        for name, hashed in self.users.items():
            if not name or ":" in name or not is_field_value(name):
                message = "a user's name is text without colons"
                report.add(self, ("users", name), message, path=path)
            if not is_hash(hashed):
                message = "not a hash of bcrypt or argon2id"
                report.add(self, ("users", name), message, _CURE, path=path)
        hashes = list(self.users.values())
        if self.htpasswd:
            try:
                hashes += read_htpasswd(self.htpasswd_file.read_text()).values()
            except OSError as error:
                message = f"{self.htpasswd_file} cannot be read: {error.strerror}"
                report.add(self, "htpasswd", message, path=path)
            except UnicodeDecodeError:
                report.add(self, "htpasswd", "the file is not UTF-8 text", path=path)
            except ValueError as error:
                report.refuse(self, "htpasswd", error, path=path)
        if any(BCRYPT.fullmatch(hashed) for hashed in hashes):
            check_package(self, "bcrypt", "basic-auth", report, path)
