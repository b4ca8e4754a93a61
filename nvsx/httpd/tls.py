"""The server's certificate: loaded before anything is served, and again when its files have changed."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

from nvsx.errors import EnvironmentUnusable

if TYPE_CHECKING:
    from pathlib import Path


class Certificate:
    """A chain and its key as PEM files. Raises EnvironmentUnusable if they are of no use."""

    def __init__(self, chain: Path, key: Path) -> None:
        self._chain, self._key = chain, key
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.minimum_version = ssl.TLSVersion.TLSv1_2
        self._version: object = None
        self.refresh()

    def refresh(self) -> bool:
        """Load what was renewed, for the connections that come; whether there was anything.

        EnvironmentUnusable where the new files are of no use: then the old ones stay in use.
        """
        try:
            version = [(facts.st_ino, facts.st_mtime_ns) for facts in (self._chain.stat(), self._key.stat())]
            if version == self._version:
                return False
            # A chain that does not fit its key would spoil the context in use, so another one tries first.
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(self._chain, self._key, _no_password)
            self.context.load_cert_chain(self._chain, self._key, _no_password)
        except ssl.SSLError as error:
            reason = (error.reason or str(error)).replace("_", " ").lower()
            raise self._unusable(f"are no certificate and its key: {reason}") from error
        except OSError as error:
            raise self._unusable(f"cannot be read: {error.strerror or error}") from error
        except ValueError as error:
            raise self._unusable(str(error)) from error
        self._version = version
        return True

    def _unusable(self, fact: str) -> EnvironmentUnusable:
        return EnvironmentUnusable(
            f"{self._chain} and {self._key} {fact}",
            hint=f"openssl x509 -in {self._chain} -noout -subject -dates; openssl pkey -in {self._key} -noout",
        )


def _no_password() -> str:
    raise ValueError("have a key with a password, which a daemon cannot be asked for")
