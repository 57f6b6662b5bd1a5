"""Certificates of an authority that the tests make up."""

from __future__ import annotations

import ssl
from pathlib import Path

import trustme


class Authority:
    """Issues certificates for servers, and makes clients trust them."""

    def __init__(self) -> None:
        self._authority = trustme.CA()

    def client(self) -> ssl.SSLContext:
        """Return a context that trusts this authority beside the system's."""
        context = ssl.create_default_context()
        self._authority.configure_trust(context)
        return context

    def server(self, *names: str) -> ssl.SSLContext:
        """Return a context of a server that is called ``names``."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._authority.issue_cert(*names).configure_cert(context)
        return context

    def bundle(self, folder: Path) -> Path:
        """Write the authority's certificate for processes that are told of it by SSL_CERT_FILE."""
        path = folder / "authority.pem"
        self._authority.cert_pem.write_to_path(str(path))
        return path
