"""Object storage that speaks S3, in this process: moto's server, which others may ask too.

Belongs here: starting and stopping it. It looks at no signature: who may do what is the real
store's business.
"""

from __future__ import annotations

import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from moto.server import ThreadedMotoServer

BUCKET = "ccgi"


@dataclass(frozen=True)
class ObjectStorage:
    """A running store with one bucket."""

    address: str

    def environment(self, prefix: str) -> dict[str, str]:
        """The variables of a warehouse that has its tables' files there."""
        return {
            "CCGI_TABLES": f"s3://{BUCKET}/{prefix}",
            "CCGI_S3_ENDPOINT": self.address,
            "CCGI_S3_KEY_ID": "key",
            "CCGI_S3_SECRET": "a secret",
        }

    def listed(self, prefix: str) -> str:
        """What the store says of the objects below a prefix."""
        address = f"{self.address}/{BUCKET}?list-type=2&prefix={prefix}/"
        with urllib.request.urlopen(address) as answer:  # noqa: S310 - it is our own server
            return str(answer.read().decode())


@contextmanager
def object_storage() -> Iterator[ObjectStorage]:
    """A store of one's own until the end of the block."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        store = ObjectStorage(f"http://{host}:{port}")
        made = urllib.request.Request(f"{store.address}/{BUCKET}", method="PUT")  # noqa: S310
        urllib.request.urlopen(made).close()  # noqa: S310
        yield store
    finally:
        server.stop()
