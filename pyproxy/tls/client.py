"""What filters see of a client's TLS connection: `exchange.tls`."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from pyproxy.tls.peer import Peer


class ClientTls(NamedTuple):
    """What was agreed with the client in the handshake.

    `version` is "TLSv1.2" or "TLSv1.3"; `group` is the key exchange; `sni` the host name that it
    asked for and `alpn` the protocol, "" for none; `certificate` is what it has shown, verified and
    in DER, b"" for none.
    """

    version: str
    cipher: str
    group: str
    sni: str
    alpn: str
    resumed: bool
    certificate: bytes

    @property
    def client(self) -> Peer | None:
        """Who it is: subject, names and fingerprint of its certificate; None without one.

        Taken apart at each call.
        """
        if not self.certificate:
            return None
        # Not for processes that never see one: it takes a while to load.
        from pyproxy.tls.peer import peer_of

        return peer_of(self.certificate)
