"""API keys."""

from typing import Annotated, ClassVar

from msgspec import Meta

from pyproxy.config.faults import Report, is_field_value
from pyproxy.config.filters.places import Credentials, check_header_name
from pyproxy.config.section import ONE_OR_MORE

__all__ = ["KeyAuthFilter"]


class KeyAuthFilter(Credentials, frozen=True, kw_only=True):
    """Lets in who shows one of the keys that were given out, and says whose it is.

    Requests without a key, with a wrong one or with several are answered with 401. The name of the
    consumer whose key it is goes upstream in a header (which clients cannot forge), where access
    logs (`request.header.x-consumer`), rate limits (`{header.x-consumer}`) and other filters find
    it, too; Python filters have it as `exchange.state["consumer"]`. How long a refusal takes says
    nothing about the keys. A consumer with two keys can change from one to the other in peace.
    """

    default_priority: ClassVar[int] = 5500
    python_class: ClassVar[str] = "pyproxy.filters.key_auth:KeyAuth"
    example: ClassVar[str] = """\
- key_auth:
    keys:
      shop: k-7d1c4f
      reports: [k-old, k-new] # better: secret://env/REPORTS_KEY
    header: x-api-key
    query: api_key
    hide_credentials: yes
"""

    keys: Annotated[
        dict[str, Annotated[tuple[str, ...], ONE_OR_MORE]],
        Meta(
            min_length=1,
            description="The name of each consumer, and its key or keys.",
            examples=[{"shop": "secret://env/SHOP_KEY"}],
        ),
    ]
    consumer_header: Annotated[
        str, Meta(description="The header that tells the endpoint whose key it was.")
    ] = "x-consumer"
    anonymous: Annotated[
        str,
        Meta(description="The consumer that requests without any key are let in as; empty: none."),
    ] = ""

    def check(self, report: Report, path: str) -> None:
        """Are keys and names usable, and does each key belong to one?"""
        self.check_places(report, path)
        check_header_name(self, "consumer_header", self.consumer_header, report, path)
        if not _is_name(self.anonymous) and self.anonymous:
            report.add(self, "anonymous", "a consumer's name is a header's value", path=path)
        if not self.keys:
            report.add(self, "keys", "nobody has a key", "name a consumer and its key", path=path)
        owner: dict[str, str] = {}
        for name, keys in self.keys.items():
            if not _is_name(name):
                report.add(self, ("keys", name), "a consumer's name is a header's value", path=path)
            for i, key in enumerate(keys):
                at = ("keys", name, i)
                if not key:
                    report.add(self, at, "an empty key lets everybody in", path=path)
                elif key in owner:
                    message = f"{owner[key]} has the same key"
                    report.add(self, at, message, "give each consumer its own", path=path)
                owner.setdefault(key, name)


def _is_name(text: str) -> bool:
    return bool(text) and text.isascii() and is_field_value(text)
