"""Upload and download through S3Storage against the bare minio client, in turns on one server.

    python benchmarks/bench_storage.py [--rounds N]          # RECAST_STORAGE=s3://... and RECAST_S3_... name the bucket

The limit is what the client library does with the same files, a thread pool of the same size and no digests, manifests or
checks: `put_object` from a file, `get_object` streamed to a file. Ours includes the scan of the folder, the manifest,
its look whether the tree is there, and the comparison of every byte read. Ratios are of medians of rounds in turns; CPU
seconds are of this process.
"""

from __future__ import annotations

import argparse
import os
import secrets
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from reana_lite.artifact import Manifest
from reana_lite.config import Settings
from reana_lite.storage.bucket import PART_BYTES
from reana_lite.storage.s3 import S3Storage
from reana_lite.storage.scan import scan

THREADS = 8
SHAPES = {
    "1000 files of 4 kB": (1000, 4_000),
    "50 files of 2 MB": (50, 2_000_000),
    "1 file of 200 MB": (1, 200_000_000),
}


def make(folder: Path, files: int, size: int) -> None:
    """Files that no two rounds share, so that nothing is kept already."""
    folder.mkdir()
    for number in range(files):
        with (folder / f"f{number}").open("wb") as stream:
            stream.write(secrets.token_bytes(min(size, 1 << 20)) * -(-size // (1 << 20)))
            stream.truncate(size)


def raw_put(storage: S3Storage, prefix: str, source: Path) -> None:
    """The limit of uploads."""

    def put(path: Path) -> None:
        with path.open("rb") as stream:
            name, size = f"{storage.prefix}{prefix}/{path.name}", path.stat().st_size
            storage.bucket.client.put_object(storage.bucket.name, name, stream, size, part_size=PART_BYTES)

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(put, source.iterdir()))


def raw_get(storage: S3Storage, prefix: str, names: list[str], target: Path) -> None:
    """The limit of downloads."""
    target.mkdir()

    def get(name: str) -> None:
        response = storage.bucket.client.get_object(storage.bucket.name, f"{storage.prefix}{prefix}/{name}")
        with (target / name).open("xb") as stream:
            for chunk in response.stream(1 << 20):
                stream.write(chunk)
        response.close()
        response.release_conn()

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(get, names))


def timed(run: Callable[[], object]) -> tuple[float, float]:
    """(wall seconds, CPU seconds)."""
    wall, cpu = time.perf_counter(), time.process_time()
    run()
    return time.perf_counter() - wall, time.process_time() - cpu


def one_round(
    storage: S3Storage, folder: Path, files: int, size: int, *, ours_first: bool
) -> dict[str, tuple[float, float]]:
    """Seconds of each of the six things, of new files."""
    source, prefix, key = folder / "source", f"raw-{secrets.token_hex(4)}", f"bench-{secrets.token_hex(8)}"
    make(source, files, size)
    names = [path.name for path in source.iterdir()]
    found: dict[str, tuple[float, float]] = {}
    known: list[Manifest] = []
    kept: list[str] = []

    def as_stager() -> None:  # outputs of a step: scanned already, beside the step
        storage.put(key, 1, known[0], lambda a: (source / a.path).open("rb"))

    turns: list[tuple[str, Callable[[], object]]] = [
        ("put, raw", lambda: raw_put(storage, prefix, source)),
        ("put, scanned before", as_stager),
        ("put, tree", lambda: kept.append(storage.keep_tree(source, "/x").key)),
    ]
    reads: list[tuple[str, Callable[[], object]]] = [
        ("get, raw", lambda: raw_get(storage, prefix, names, folder / "raw")),
        ("get, ours", lambda: storage.fetch(key, 1, folder / "ours")),
    ]
    found["scan alone"] = timed(lambda: known.append(scan(source)))
    for group in (turns, reads):
        for name, run in group[::-1] if ours_first else group:
            found[name] = timed(run)
    storage.remove(key, 1)
    storage.remove(kept[0], 0)
    storage.bucket.remove([f"{storage.prefix}{prefix}/{name}" for name in names])
    for name in ("source", "raw", "ours"):
        shutil.rmtree(folder / name)
    return found


def say(line: str) -> None:
    """To standard output."""
    print(line, flush=True)  # noqa: T201


def main() -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    settings = Settings.from_environment().s3
    if settings is None:
        raise SystemExit("RECAST_STORAGE names no bucket, such as s3+http://127.0.0.1:9000/bucket")
    storage = S3Storage(settings, threads=THREADS)
    storage.check()
    say(f"load before: {os.getloadavg()[0]:.1f}, {os.cpu_count()} cores, medians of {options.rounds} rounds\n")
    say(
        "| files | what | seconds | CPU seconds | MB/s | speed relative to raw |\n| --- | --- | --- | --- | --- | --- |"
    )
    with tempfile.TemporaryDirectory(prefix="bench-storage-") as folder:
        for shape, (files, size) in SHAPES.items():
            rounds = [
                one_round(storage, Path(folder), files, size, ours_first=bool(number % 2))
                for number in range(options.rounds)
            ]
            for name in sorted(rounds[0]):
                wall, cpu = (statistics.median(one[name][n] for one in rounds) for n in (0, 1))
                raw = statistics.median(one[f"{name[:3]}, raw"][0] for one in rounds) if name[3] == "," else 0.0
                ratio = f"{raw / wall:.2f}" if raw else ""
                say(f"| {shape} | {name} | {wall:.3f} | {cpu:.3f} | {files * size / 1e6 / wall:.0f} | {ratio} |")


if __name__ == "__main__":
    main()
