"""A load generator in a process of its own: reads a plan (JSON) from stdin, sends it in an open loop, writes what it saw.

A request is due at a moment of the plan whether or not those before it are answered, and its time counts from then on, so a
server that stalls cannot hide it. Connections are kept alive; one more is opened when none is free. bench_server.py calls it.
"""

from __future__ import annotations

import asyncio
import json
import resource
import sys
import time
from collections import deque
from typing import Any

LIMIT_S = 60.0
Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Load:
    """Sends requests and notes (kind, seconds since it was due, status) of each; status 0: none came."""

    def __init__(self, host: str, port: int) -> None:
        self.host, self.port = host, port
        self.free: deque[Connection] = deque()
        self.opened = 0
        self.seen: list[tuple[str, float, int]] = []
        self.bodies: list[str] = []

    async def send(self, kind: str, request: bytes, due: float, *, keep: bool) -> None:
        """One request, sent now."""
        status, body = 0, b""
        try:
            async with asyncio.timeout(LIMIT_S):
                status, body = await self._ask(request)
        except (OSError, TimeoutError, asyncio.IncompleteReadError) as error:
            body = repr(error).encode()
        self.seen.append((kind, time.perf_counter() - due, status))
        if keep:
            self.bodies.append(body.decode(errors="replace"))

    async def _ask(self, request: bytes) -> tuple[int, bytes]:
        while True:
            fresh = not self.free
            if fresh:
                self.opened += 1
                connection = await asyncio.open_connection(self.host, self.port, limit=1 << 20)
            else:
                connection = self.free.pop()
            reader, writer = connection
            writer.write(request)
            try:
                head = await reader.readuntil(b"\r\n\r\n")
            except (ConnectionError, asyncio.IncompleteReadError):
                writer.close()
                if fresh:
                    raise
                continue  # it had been closed while it was idle
            lines = head.split(b"\r\n")
            fields = {name.lower(): value.strip() for name, _, value in (line.partition(b":") for line in lines[1:])}
            body = await reader.readexactly(int(fields.get(b"content-length", b"0")))
            if fields.get(b"connection", b"").lower() == b"close":
                writer.close()
            else:
                self.free.append(connection)
            return int(lines[0].split()[1]), body


async def follow(plan: dict[str, Any]) -> dict[str, Any]:
    """Follow events ({"followers": [text of the request, ...]}) until a line comes on stdin, then say what each has heard."""
    heard: list[float] = []
    refused = 0
    begun = asyncio.Event()

    async def one(text: str) -> None:
        nonlocal refused
        reader, writer = await asyncio.open_connection(plan["host"], plan["port"], limit=1 << 20)
        writer.write(text.encode())
        head = await reader.readuntil(b"\r\n\r\n")
        if b" 200 " not in head.split(b"\r\n")[0]:
            refused += 1
            return
        begun.set()
        while line := await reader.readline():
            if line.startswith(b"event: run") or line.startswith(b"event: step") or line.startswith(b"event: node"):
                heard.append(time.time())

    tasks = []
    for text in plan["followers"]:
        tasks.append(asyncio.create_task(one(text)))
        await asyncio.sleep(0.002)
    await begun.wait()
    await asyncio.sleep(2.0)
    first = len(heard)
    sys.stdout.write("following\n")
    sys.stdout.flush()
    await asyncio.to_thread(sys.stdin.readline)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return {"refused": refused, "heard": heard[first:]}


async def run(plan: dict[str, Any]) -> dict[str, Any]:
    """Send a plan: {"host", "port", "requests": [[kind, seconds from the beginning, text, keep the answer], ...]}."""
    load = Load(plan["host"], plan["port"])
    begun = time.perf_counter() + 0.05
    tasks = set()
    late = 0.0
    for kind, at, text, keep in plan["requests"]:
        due = begun + at
        if (wait := due - time.perf_counter()) > 0:
            await asyncio.sleep(wait)
        late = max(late, time.perf_counter() - due)
        task = asyncio.create_task(load.send(kind, text.encode(), due, keep=keep))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
    await asyncio.gather(*tasks)
    used = resource.getrusage(resource.RUSAGE_SELF)
    return {"seen": load.seen, "bodies": load.bodies, "connections": load.opened, "late_s": late,
            "took_s": time.perf_counter() - begun, "cpu_s": used.ru_utime + used.ru_stime}  # fmt: skip


if __name__ == "__main__":
    plan = json.loads(sys.stdin.readline())
    json.dump(asyncio.run((follow if "followers" in plan else run)(plan)), sys.stdout)
