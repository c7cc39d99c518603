"""Where bytes lie: the door (base), a folder (local), a bucket (s3); `open_storage` makes the one that settings name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reana_lite.errors import Unavailable

if TYPE_CHECKING:
    from reana_lite.config import Settings
    from reana_lite.storage.base import Storage


def open_storage(settings: Settings, *, patience_s: float = 60.0) -> Storage:
    """The storage that RECAST_STORAGE names; raises Unavailable if what it needs is not installed.

    `patience_s`: how long a request to a bucket that does not answer is tried again (seconds).
    """
    if settings.s3 is None:
        from reana_lite.storage.local import LocalStorage

        return LocalStorage(settings.storage)
    try:
        from reana_lite.storage.s3 import S3Storage
    except ModuleNotFoundError as error:
        raise Unavailable(
            f"RECAST_STORAGE names a bucket: install reana-lite[cluster] ({error.name} is missing)"
        ) from error
    return S3Storage(settings.s3, patience_s=patience_s)
