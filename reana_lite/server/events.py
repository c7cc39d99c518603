"""What happens, told to many at once as server-sent events: one thread per process looks into the database for all followers.

A topic is a run, a campaign, a user's runs, or the log of an attempt. Whoever follows reads what was before, then hears what
the thread tells. Events of a run carry the number in its log as their id, those of a log the offset in bytes: Last-Event-ID
goes on after it, nothing is lost or told twice. Those of campaigns and users say how things stand, which needs no past.
"""

from __future__ import annotations

import json
import threading
import time
from collections import Counter, deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from reana_lite.database import Database, RunRecord, campaigns, listing
from reana_lite.database.records import TERMINAL_RUN
from reana_lite.errors import ReanaLiteError, Unavailable
from reana_lite.storage.base import Storage

LOOK_S = 0.25
"""How often the database is looked into (seconds), whatever the number of followers."""

CAMPAIGN_S = 1.0
"""How often campaigns are counted (seconds): that takes longer."""

BEAT_S = 15.0
"""How often a follower hears something at all (seconds), so that connections that are gone are noticed."""

KEPT = 2000
"""Events of a topic that are kept for followers that lag behind; older ones are read anew."""

LOG_BLOCK = 65536
"""Bytes of a log in one event."""

LOGS = 100
"""Logs that are looked into at a time: storage is asked for each of them, so where more are followed they take turns."""

EACH = 4
"""No user has more than this part (one of EACH) of all places of followers."""

Topic = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Told:
    """One event as it is sent. `first` and `after`: of a run's log its number and the next, of a log the bytes it covers;
    -1 where there is no order. `last`: nothing follows."""

    text: str
    first: int = -1
    after: int = -1
    last: bool = False


class Channel:
    """A topic with its followers and what they were told lately; all under the lock of the fan."""

    def __init__(self, lock: threading.RLock) -> None:
        self.news = threading.Condition(lock)
        self.followers = 0
        self.number = 0
        self.told: deque[Told] = deque(maxlen=KEPT)
        self.position = -1  # where the thread goes on reading: an event's number, or an offset
        self.state: dict[str, Any] = {}

    def tell(self, *told: Told) -> None:
        """Tell all followers."""
        self.number += len(told)
        self.told.extend(told)
        self.news.notify_all()


@dataclass(slots=True)
class Follower:
    """One who follows a topic: `number` is how much of the channel they have heard."""

    fan: Fan
    topic: Topic
    channel: Channel = field(init=False)
    number: int = 0

    def __enter__(self) -> Follower:
        self.channel = self.fan.join(self.topic)
        self.number = self.channel.number
        return self

    def __exit__(self, *_: object) -> None:
        self.fan.leave(self.topic, self.channel)

    def begin(self, position: int) -> None:
        """The thread is to tell what comes after a position, unless it does so already for somebody else."""
        with self.channel.news:
            if self.channel.position < 0:
                self.channel.position = position

    def hear(self) -> tuple[list[Told], bool]:
        """(what was told meanwhile, waited for up to BEAT_S; whether some of it is gone already)."""
        with self.channel.news:
            self.channel.news.wait_for(lambda: self.channel.number > self.number or self.fan.ended, BEAT_S)
            count = self.channel.number - self.number
            self.number = self.channel.number
            lagged = count > len(self.channel.told)
            return (list(self.channel.told)[-count:] if count else []), lagged


class Fan:
    """See the module. `most` followers at a time, a part of them anybody's; the thread runs while there are any."""

    def __init__(self, database: Database, storage: Storage, *, most: int = 1000) -> None:
        self.database = database
        self.storage = storage
        self.most = most
        self._lock = threading.RLock()
        self._channels: dict[Topic, Channel] = {}
        self._thread: threading.Thread | None = None
        self._campaigns_at = 0.0
        self._since = 0.0
        self._log_turn = 0
        self.ending = self.ended = False
        self._wake = threading.Event()
        self._places: Counter[str] = Counter()

    @property
    def followers(self) -> int:
        """How many follow something now."""
        with self._lock:
            return sum(channel.followers for channel in self._channels.values())

    def end(self) -> None:
        """Let all followers go, after a last look for what they are still to hear: they come again to whoever serves next,
        and go on."""
        with self._lock:
            self.ending = True
            if self._thread is None:
                self._let_go()
        self._wake.set()

    def _let_go(self) -> None:
        with self._lock:
            self.ended = True
            for channel in self._channels.values():
                channel.news.notify_all()

    @contextmanager
    def place(self, user: str) -> Iterator[None]:
        """A place among those who follow or wait, each of whom holds a thread; raises Unavailable if there is none."""
        with self._lock:
            if self.ending:
                raise Unavailable("this server is about to end; another one goes on", retry_after_s=2)
            if self._places.total() >= self.most or self._places[user] >= max(1, self.most // EACH):
                raise Unavailable("too many follow this server's events at once", retry_after_s=10, throttled=True)
            self._places[user] += 1
        try:
            yield
        finally:
            with self._lock:
                self._places[user] -= 1
                if not self._places[user]:
                    del self._places[user]

    # -- what a follower hears -----------------------------------------------------------------------------------------

    def run(self, run: str, after: int = -1) -> Iterator[str]:
        """The events of a run after number `after`, as they come, and how it stands; ends when it is over."""
        seq = after + 1
        with Follower(self, ("run", run)) as follower:
            record = self.database.get_run(run)
            follower.begin(record.next_seq)
            yield event("run", record.to_dict())
            lagged = True
            heard: list[Told] = []
            while True:
                if lagged:
                    for told in self._timeline(run, seq):
                        seq = told.after
                        yield told.text
                for told in heard:
                    if told.first < 0 or told.first >= seq:
                        seq = max(seq, told.after)
                        yield told.text
                    if told.last:
                        return
                if record.state in TERMINAL_RUN:
                    yield event("end", {"state": str(record.state)})
                    return
                heard, lagged = follower.hear()
                if not heard:
                    if self.ended:
                        return
                    yield BEAT

    def campaign(self, campaign: str) -> Iterator[str]:
        """How a campaign stands, and each of its runs that begins or ends."""
        with Follower(self, ("campaign", campaign)) as follower:
            yield event("campaign", campaigns.progress(self.database, campaign).to_dict())
            yield from self._hear(follower)

    def user(self, owner: str, since: float = 0.0) -> Iterator[str]:
        """The runs of a user that have changed since a moment (UTC seconds), and from now on each that changes."""
        with Follower(self, ("user", owner)) as follower:
            now = self.database.clock()
            yield event("ready", {"at": now}, id_=f"{now:.3f}")
            for record in listing.stirring(self.database, since or now):
                if record.owner == owner:
                    yield event("run", record.to_dict(), id_=f"{now:.3f}")
            yield from self._hear(follower)

    def log(self, key: str, attempt: int, offset: int = 0) -> Iterator[str]:
        """The log of an attempt from byte `offset` on, as it grows; ends with the attempt."""
        with Follower(self, ("log", key, str(attempt))) as follower:
            over = self._is_over(key, attempt)
            follower.begin(offset)
            heard: list[Told] = []
            behind = True
            while True:
                for told in heard:
                    behind = behind or (told.first > offset) or (told.first < offset < told.after)
                    if told.first == offset and not behind:
                        offset = told.after
                        yield told.text
                if behind or over:
                    while block := self.storage.log(key, attempt, offset, limit=LOG_BLOCK):
                        yield _block(block, offset).text
                        offset += len(block)
                if over or any(told.last for told in heard):
                    yield event("end", {"offset": offset})
                    return
                heard, behind = follower.hear()
                if not heard:
                    if self.ended:
                        return
                    yield BEAT

    def _hear(self, follower: Follower) -> Iterator[str]:
        while True:
            heard, _ = follower.hear()
            yield from (told.text for told in heard)
            if not heard:
                if self.ended:
                    return
                yield BEAT

    def _timeline(self, run: str, seq: int) -> Iterator[Told]:
        for number, kind, body, at in self.database.timeline(run, seq):
            text = event("node" if "node" in body else "step", _shown(kind, body, at), id_=str(number))
            yield Told(text, number, number + 1)

    def _is_over(self, key: str, attempt: int) -> bool:
        rows = [row for row in self.database.attempts(key) if row.attempt == attempt]
        return all(str(row.state) in ("finished", "failed", "stopped") for row in rows)

    # -- followers -----------------------------------------------------------------------------------------------------

    def join(self, topic: Topic) -> Channel:
        """One follower more."""
        with self._lock:
            channel = self._channels.setdefault(topic, Channel(self._lock))
            channel.followers += 1
            if self._thread is None:
                self._since = self.database.clock()
                self._thread = threading.Thread(target=self._look_on, name="events", daemon=True)
                self._thread.start()
            return channel

    def leave(self, topic: Topic, channel: Channel) -> None:
        """One follower less."""
        with self._lock:
            channel.followers -= 1
            if not channel.followers and self._channels.get(topic) is channel:
                del self._channels[topic]

    # -- the thread ----------------------------------------------------------------------------------------------------

    def _look_on(self) -> None:
        while True:
            with self._lock:
                if not self._channels:
                    self._thread = None
                    return
                channels, last = dict(self._channels), self.ending
            pause_s = LOOK_S
            try:
                self._look(channels)
            except ReanaLiteError:  # the database does not answer: it is asked again
                pause_s = 2.0
            if last:
                self._let_go()
                return
            self._wake.wait(pause_s)

    def _look(self, channels: Mapping[Topic, Channel]) -> None:
        runs = {topic[1]: channel for topic, channel in channels.items() if topic[0] == "run" and channel.position >= 0}
        for run, record in listing.standings(self.database, runs).items():
            self._look_at_run(runs[run], record)
        logs = [(topic, channel) for topic, channel in channels.items() if topic[0] == "log" and channel.position >= 0]
        self._log_turn = self._log_turn + LOGS if self._log_turn + LOGS < len(logs) else 0
        for topic, channel in logs[self._log_turn : self._log_turn + LOGS]:
            self._look_at_log(channel, topic[1], int(topic[2]))
        if any(topic[0] in ("user", "campaign") for topic in channels):
            now = self.database.clock()
            for record in listing.stirring(self.database, self._since - 2.0):
                for topic in (("user", record.owner), ("campaign", record.campaign)):
                    if topic in channels:
                        told = Told(event("run", record.to_dict(), id_=f"{now:.3f}"))
                        self._tell_new(channels[topic], record.id, _standing(record), told)
            self._since = now
        if time.monotonic() - self._campaigns_at >= CAMPAIGN_S:
            self._campaigns_at = time.monotonic()
            for topic, channel in channels.items():
                if topic[0] == "campaign":
                    text = event("campaign", campaigns.progress(self.database, topic[1]).to_dict())
                    self._tell_new(channel, "", text, Told(text))

    def _look_at_run(self, channel: Channel, record: RunRecord) -> None:
        standing = (record.next_seq, *_standing(record))
        if channel.state.get("") == standing:
            return
        told = list(self._timeline(record.id, channel.position)) if record.next_seq > channel.position else []
        told.append(Told(event("run", record.to_dict())))
        if record.state in TERMINAL_RUN:
            told.append(Told(event("end", {"state": str(record.state)}), last=True))
        with self._lock:
            channel.state[""] = standing
            channel.position = max([channel.position, *(one.after for one in told)])
            channel.tell(*told)

    def _look_at_log(self, channel: Channel, key: str, attempt: int) -> None:
        over = self._is_over(key, attempt)
        told: list[Told] = []
        while block := self.storage.log(key, attempt, channel.position, limit=LOG_BLOCK):
            told.append(_block(block, channel.position))
            channel.position += len(block)
        if over:
            told.append(Told("", last=True))
        if told:
            with self._lock:
                channel.tell(*told)

    def _tell_new(self, channel: Channel, name: str, state: Any, told: Told) -> None:
        with self._lock:
            if channel.state.get(name) != state:
                if len(channel.state) > KEPT:
                    channel.state.clear()
                channel.state[name] = state
                channel.tell(told)


BEAT = ": still here\n\n"


def event(kind: str, data: Mapping[str, Any], *, id_: str = "") -> str:
    """One server-sent event."""
    return (f"id: {id_}\n" if id_ else "") + f"event: {kind}\ndata: {json.dumps(data, separators=(',', ':'))}\n\n"


def _block(block: bytes, offset: int) -> Told:
    after = offset + len(block)
    text = event("log", {"text": block.decode(errors="replace"), "offset": after}, id_=str(after))
    return Told(text, offset, after)


def _standing(record: RunRecord) -> tuple[Any, ...]:
    return (record.state, record.total, record.finished, record.running, record.failed, record.stop_requested_at)


def _shown(kind: str, body: Mapping[str, Any], at: float) -> dict[str, Any]:
    """An event of a run's log for followers: its kind and plain values, no workflows and answers."""
    plain = {n: v for n, v in body.items() if isinstance(v, str | int | float | bool) and len(str(v)) <= 2000}
    return {"kind": kind, "at": at, **plain}
