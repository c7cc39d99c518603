"""`recast worker`: drives the runs of everybody, for deployments. What it does is worker/program.py."""

from __future__ import annotations

import click

PATIENCE_S = 10.0
"""How long the loop waits for a bucket that does not answer (seconds): all runs wait meanwhile; later it asks again."""


@click.command()
@click.option("--at-once", type=click.IntRange(1), default=200, show_default=True, help="Runs held at a time.")
@click.option("--drain", is_flag=True, help="End when no run is left.")
@click.option("--backend", default=None, help="Where jobs run.")
@click.option("--cores", type=float, default=None, help="Cores for jobs of this machine.")
@click.option("--per-user", type=click.IntRange(0), default=0, help="Jobs a user may have under way (0: no limit).")
@click.option("--jobs", type=click.IntRange(0), default=0, help="Jobs under way of all workers of this backend.")
@click.option("--memory-limit", default="", help="Try again what ran out of memory, up to so much, such as 16Gi.")
@click.option("--health", type=click.IntRange(0, 65535), default=None, help="Port of /healthz, /readyz, /metrics.")
def worker(
    at_once: int, drain: bool, backend: str | None, cores: float | None, per_user: int, jobs: int, memory_limit: str,
    health: int | None,
) -> None:  # fmt: skip
    """Drive all runs that are queued or abandoned, until TERM or Ctrl-C. With RECAST_LOG=json logs are lines of JSON.

    \b
    Example:
      recast worker --at-once 500 --health 8081
    """
    import logging
    import os
    import signal
    import threading

    from reana_lite.backends.choice import choose
    from reana_lite.config import Settings, parse_bytes
    from reana_lite.database import Database
    from reana_lite.storage import open_storage
    from reana_lite.worker import Worker
    from reana_lite.worker.program import keep_driving, patiently
    from reana_lite.worker.telemetry import Health, JsonLines

    lines = logging.StreamHandler()
    plain = logging.Formatter("%(levelname)s %(name)s: %(message)s")
    lines.setFormatter(JsonLines() if os.environ.get("RECAST_LOG") == "json" else plain)
    logging.getLogger().addHandler(lines)
    logging.getLogger("recast").setLevel(logging.INFO)
    logging.getLogger("reana_lite").setLevel(logging.INFO)
    try:
        memory = parse_bytes(memory_limit) if memory_limit else 0
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--memory-limit") from error
    settings = Settings.from_environment()
    ending = threading.Event()
    made: list[Worker] = []

    def end(number: int, _: object) -> None:
        ending.set()
        for one in made:
            one.backend.wake()
        signal.signal(number, signal.SIG_DFL)  # a second one ends it at once

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)

    def begin() -> Worker:
        database = Database(settings.database)
        try:
            storage = open_storage(settings, patience_s=PATIENCE_S)
            storage.check()
            nothing: dict[str, object] = {"workflow": {}, "options": {}}
            place = choose(
                backend or settings.backend, nothing, settings=settings, storage=storage, cores=cores,
                installation=database.installation(),
            )  # fmt: skip
            return Worker(
                database, storage, backend=place, say=logging.getLogger("recast.run").info,
                per_user=per_user, jobs_at_most=jobs, memory_limit_bytes=memory,
            )  # fmt: skip
        except BaseException:
            database.close()
            raise

    counters = lambda: made[0].counters.text() if made else ""  # noqa: E731
    page = Health(health, counters=counters) if health is not None else None
    try:
        one = patiently(begin, asked_to_end=ending, health=page)
        if one is None:
            return
        made.append(one)
        try:
            keep_driving(one, at_once=at_once, asked_to_end=ending, drain=drain, health=page)
        finally:
            one.database.close()
    finally:
        if page is not None:
            page.close()
