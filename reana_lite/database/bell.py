"""The bell: a process that has queued or stopped a run lets workers of other processes look at the database at once.

PostgreSQL carries it by NOTIFY, told when the transaction is committed. Beside a file of SQLite every listener has a FIFO
of its own, in which a ringing process leaves a byte. It only shortens waiting: one that is not heard (a network folder, a
pooler between) is made up for by the poll of the worker. Only database.py and transaction.py use this.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import select
import stat
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from sqlalchemy import Connection, Engine, exc

CHANNEL = "recast"
"""Name of the channel of PostgreSQL."""

LONGEST_WAIT_S = 15.0
"""The longest pause between two tries of a listener to reach PostgreSQL (seconds)."""

Heard = Callable[[], None]
"""Called from the listener's thread whenever somebody has rung; several rings may be one call."""


class Listener:
    """Calls `heard` from a thread of its own until it is closed."""

    def __init__(self, listen: Callable[[int], None]) -> None:
        self._end_read, self._end_write = os.pipe2(os.O_CLOEXEC)
        self._thread = threading.Thread(target=self._run, args=(listen,), name="bell", daemon=True)
        self._thread.start()

    def _run(self, listen: Callable[[int], None]) -> None:
        try:
            listen(self._end_read)
        finally:
            os.close(self._end_read)

    def close(self) -> None:
        """Hear nothing more; idempotent."""
        if self._end_write >= 0:
            os.close(self._end_write)
            self._end_write = -1
            self._thread.join(5.0)


class Bell(Protocol):
    """How the processes of one database wake each other."""

    def announce(self, connection: Connection) -> None:
        """Before a commit: part of the transaction."""
        ...

    def ring(self) -> None:
        """After a commit; never fails."""
        ...

    def listen(self, heard: Heard) -> Listener:
        """Call `heard` whenever it rings, from now on."""
        ...


def bell_of(engine: Engine) -> Bell:
    """The bell of a database."""
    if engine.dialect.name == "sqlite":
        return FolderBell(Path(f"{engine.url.database}-bell"))
    return NetworkBell(engine)


class FolderBell:
    """FIFOs in a folder beside the file of SQLite, one for each listener."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def announce(self, connection: Connection) -> None:
        """Nothing: it rings after the commit."""

    def ring(self) -> None:
        """A byte into every FIFO; those that nobody reads any more are removed."""
        try:
            names = os.listdir(self.folder)  # noqa: PTH208 - a third of the time of Path.iterdir, at every submission
        except OSError:
            return
        for name in names:
            if not name.startswith("."):
                with contextlib.suppress(OSError):
                    self._ring_one(self.folder / name)

    @staticmethod
    def _ring_one(path: Path) -> None:
        try:
            fifo = os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:  # no reader: its process was killed
            if stat.S_ISFIFO(path.lstat().st_mode):
                path.unlink(missing_ok=True)
            return
        try:
            if stat.S_ISFIFO(os.fstat(fifo).st_mode):
                os.write(fifo, b"\0")  # a full one has been rung already
        finally:
            os.close(fifo)

    def listen(self, heard: Heard) -> Listener:
        """See the protocol; hears nothing where no FIFO can be made."""
        try:
            fifo, path = self._make()
        except OSError:
            return Listener(lambda end: None)

        def loop(end: int) -> None:
            try:
                while end not in select.select([fifo, end], [], [])[0]:
                    with contextlib.suppress(BlockingIOError):
                        os.read(fifo, 65536)
                    heard()
            finally:
                path.unlink(missing_ok=True)
                os.close(fifo)

        return Listener(loop)

    def _make(self) -> tuple[int, Path]:
        """A FIFO open for reading. It gets its name when it is: one that nobody reads would be removed."""
        self.folder.mkdir(mode=0o700, exist_ok=True)
        path = self.folder / f"{os.getpid()}-{secrets.token_hex(4)}"
        new = path.with_name(f".{path.name}")
        os.mkfifo(new, 0o600)
        try:
            # for writing as well, so that there is no end of file after each ring
            fifo = os.open(new, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
            new.rename(path)
        except BaseException:
            new.unlink(missing_ok=True)
            raise
        return fifo, path


class NetworkBell:
    """NOTIFY and LISTEN of PostgreSQL; a listener has a connection of its own and makes a new one if that is cut."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def announce(self, connection: Connection) -> None:
        """Told to all who listen when this transaction is committed."""
        if connection.dialect.driver == "psycopg":
            connection.exec_driver_sql(f"NOTIFY {CHANNEL}")

    def ring(self) -> None:
        """Nothing: the commit did it."""

    def listen(self, heard: Heard) -> Listener:
        """See the protocol; `heard` is called as well whenever the connection has been made."""

        def loop(end: int) -> None:
            wait_s = 0.5
            errors: tuple[type[Exception], ...] = (exc.SQLAlchemyError, OSError, self.engine.dialect.loaded_dbapi.Error)
            while True:
                try:
                    self._hear(end, heard)
                    return
                except errors:
                    pass
                if select.select([end], [], [], wait_s)[0]:
                    return
                wait_s = min(LONGEST_WAIT_S, 2 * wait_s)

        return Listener(loop)

    def _hear(self, end: int, heard: Heard) -> None:
        """Returns when the listener is to end; raises if the connection is cut."""
        if self.engine.dialect.driver != "psycopg":
            return
        with self.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql(f"LISTEN {CHANNEL}")
            connection.detach()  # closed at the end, so that no other user of the pool gets what is told here
            driver: Any = connection.connection.dbapi_connection
            socket = driver.pgconn.socket
            heard()
            while end not in select.select([socket, end], [], [])[0]:
                driver.pgconn.consume_input()
                if driver.pgconn.notifies() is not None:
                    while driver.pgconn.notifies() is not None:
                        pass
                    heard()
                elif driver.pgconn.status != 0:  # CONNECTION_OK
                    raise OSError("the connection was cut")
