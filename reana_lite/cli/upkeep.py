"""Commands of `recast admin` that keep an installation in order: retention, check, backup, restore, migrate."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from reana_lite.cli.cache import Age, size
from reana_lite.cli.screen import Installation, open_installation, plain, print_json
from reana_lite.errors import Conflict, InvalidInput

if TYPE_CHECKING:
    from reana_lite.artifact import Manifest
    from reana_lite.storage.local import LocalStorage

Place = tuple[str, int]

MANIFEST = "backup.json"
"""What a backup holds, written last: without it a backup is not whole."""


def _opened() -> Installation:
    """The installation, until the command ends."""
    installation = open_installation()
    click.get_current_context().call_on_close(installation.database.close)
    return installation


@click.command()
def migrate() -> None:
    """Bring the database up to date, or make its tables. Nothing else may use it meanwhile; the storage is not touched.

    \b
    Example:
      recast admin migrate
    """
    from reana_lite.config import Settings
    from reana_lite.database import Database

    before, now = Database.migrate(Settings.from_environment().database)
    if before == now:
        click.echo(f"the database is up to date (version {now})")
    elif before:
        click.echo(f"the database has been brought from version {before} to {now}")
    else:
        click.echo(f"the tables of the database have been made (version {now})")


@click.command()
@click.option("--older-than", type=Age(), required=True, metavar="AGE", help="Runs that were over before (30d, 12w).")
@click.option("--campaign", default="", help="Only the runs of this campaign.")
@click.option("--dry-run", is_flag=True, help="Only say what would go.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def retention(older_than: float, campaign: str, dry_run: bool, as_json: bool) -> None:
    """Remove the outputs of old runs. Results, records and input files stay; what other runs or
    uploaded workspaces name stays, too.

    \b
    Examples:
      recast admin retention --older-than 90d --dry-run
      recast admin retention --older-than 0d --campaign gluinos
    """
    from reana_lite.database import campaigns, upkeep, workspaces
    from reana_lite.inputs import owner_of

    installation = _opened()
    database, storage = installation.database, installation.storage
    if campaign:
        campaign = campaigns.get(database, campaign, owner=None).id
    old = upkeep.over_before(database, time.time() - older_than, campaign=campaign)
    others = upkeep.runs_by_id(database) - old
    places = upkeep.places_of(database, old) - upkeep.places_of(database, others)
    places -= workspaces.places(database, besides=old)
    gone, freed = 0, 0
    for key, attempt in storage.places():
        if attempt == 0 or not ((key, attempt) in places or owner_of(key) in old):
            continue
        if not dry_run and not upkeep.forget_job(database, key, attempt, besides=old):
            continue
        gone, freed = gone + 1, freed + storage.size_bytes(key, attempt)
        if not dry_run:
            storage.remove(key, attempt)
    if as_json:
        print_json({"runs": len(old), "outputs": gone, "size_bytes": freed, "dry_run": dry_run})
        return
    verb = "would free" if dry_run else "freed"
    click.echo(f"{len(old)} runs, {gone} outputs, {verb} {size(freed)}; results are kept")


@click.command()
@click.option("--deep", is_flag=True, help="Read every byte, and compare it with what was written.")
@click.option("--repair", is_flag=True, help="Forget outputs that are missing or damaged, so that they are made again.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def check(deep: bool, repair: bool, as_json: bool) -> None:
    """Hold the database against the storage: what is missing, damaged, or named by nobody. Exit code 1 if anything is wrong.

    \b
    Examples:
      recast admin check
      recast admin check --deep --repair
    """
    found = inconsistencies(_opened(), deep=deep, repair=repair)
    if as_json:
        print_json(found)
    else:
        for what in ("missing", "damaged", "trees", "orphans"):
            for text in found[what][:20]:
                click.echo(f"{_WORDS[what]}: {plain(text)}")
            if len(found[what]) > 20:
                click.echo(f"{_WORDS[what]}: {len(found[what]) - 20} more (--json lists all)")
        click.echo(
            f"{found['looked_at']} places: {len(found['missing'])} outputs missing, {len(found['damaged'])} damaged, "
            f"{len(found['trees'])} input files missing, {len(found['orphans'])} named by nobody"
        )
    left = found["trees"] or (not repair and (found["missing"] or found["damaged"]))
    if left:
        raise click.exceptions.Exit(1)


_WORDS = {
    "missing": "outputs missing",
    "damaged": "damaged",
    "trees": "input files missing",
    "orphans": "named by nobody",
}


def inconsistencies(installation: Installation, *, deep: bool = False, repair: bool = False) -> dict[str, Any]:
    """What records and storage disagree on: `missing` and `damaged` outputs, `trees` (input files: nothing can make them
    again), `orphans` (`recast cache prune` removes those that are outputs)."""
    from reana_lite.database import upkeep
    from reana_lite.inputs import owner_of

    database, storage = installation.database, installation.storage
    there = set(storage.places())  # first: what is made after this look is not looked at
    kept = {(job.key, job.attempt) for job in database.kept_jobs()}
    trees, known, runs = upkeep.trees_named(database), upkeep.attempts_known(database), upkeep.runs_by_id(database)
    missing: list[Place] = []
    lost_trees: list[Place] = []
    damaged: list[tuple[Place, list[str]]] = []
    for place in sorted(kept | trees):
        # looked at again: it may have been made since
        if storage.manifest(*place) is None:
            (missing if place[1] else lost_trees).append(place)
        elif deep and (paths := storage.damage(*place)):
            damaged.append((place, paths))
    orphans = [
        place for place in sorted(there - kept - trees - known)
        if not (place[1] and owner_of(place[0]) in runs)
    ]  # fmt: skip
    if repair:
        for key, attempt in [*missing, *(place for place, _ in damaged if place[1])]:
            if upkeep.forget_job(database, key, attempt, damaged=True):
                storage.remove(key, attempt)
    return {
        "looked_at": len(kept | trees), "missing": [_named(place) for place in missing],
        "damaged": [f"{_named(place)}: {', '.join(paths[:5])}" for place, paths in damaged],
        "trees": [_named(place) for place in lost_trees], "orphans": [_named(place) for place in orphans],
    }  # fmt: skip


def _named(place: Place) -> str:
    return f"jobs/{place[0]}/{place[1]}" if place[1] else f"trees/{place[0]}"


# -- backup -----------------------------------------------------------------------------------------------------------


@click.command()
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.option("--files/--no-files", default=True, show_default=True, help="Copy the outputs and input files, too.")
def backup(folder: Path, files: bool) -> None:
    """Copy the database, as it is at this moment, and the files it names to FOLDER. Everything may be in use meanwhile.

    The next backup to the same FOLDER copies only what is new. A bucket is copied by its own means (replication, `mc
    mirror`): then only the database and the list of places are written.

    \b
    Examples:
      recast admin backup /backup/recast
      recast admin backup /backup/recast --no-files
    """
    from reana_lite import __version__
    from reana_lite.database import upkeep

    installation = _opened()
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)  # hashes of passwords and secrets are in the database
    (folder / MANIFEST).unlink(missing_ok=True)
    copy = upkeep.copy_to(installation.settings.database, folder)
    local = _local(installation)
    places: list[list[Any]] = []
    copied, bad = 0, []
    # what the copy of the database names is there already: places are complete before a record names them
    for key, attempt, manifest in _complete(installation):
        places.append([key, attempt, manifest.digest, manifest.size_bytes])
        if files and local is not None:
            try:
                copied += _keep(local, folder / "storage", key, attempt)
            except Conflict as error:
                bad.append(error.message)
    (folder / f"{MANIFEST}.new").write_text(json.dumps({
        "version": __version__, "database": copy.name, "at": time.time(), "files": bool(files and local is not None),
        "installation": installation.database.installation(), "places": places,
    }))  # fmt: skip
    (folder / f"{MANIFEST}.new").replace(folder / MANIFEST)
    total = size(sum(row[3] for row in places))
    click.echo(
        f"{copy.name} ({size(copy.stat().st_size)}), {len(places)} places ({total}), {copied} of them copied now"
    )
    if local is None:
        click.echo("the bucket is not copied: use its own replication, or mc mirror", err=True)
    if bad:
        click.echo("\n".join(bad), err=True)
        raise click.exceptions.Exit(1)


@click.command()
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.option("--keep-id", is_flag=True, help="It takes the place of the original, which is gone for good.")
def restore(folder: Path, keep_id: bool) -> None:
    """Make this installation (RECAST_DATABASE, RECAST_STORAGE), which must be new, what it was when FOLDER was written.

    It gets an id of its own, so that a copy beside the original leaves the original's Jobs on a cluster alone.

    \b
    Examples:
      RECAST_HOME=/new/place recast admin restore /backup/recast
      recast admin restore /backup/recast --keep-id
    """
    from reana_lite.config import Settings
    from reana_lite.database import upkeep

    try:
        said = json.loads((folder / MANIFEST).read_text())
    except (OSError, ValueError) as error:
        raise InvalidInput(f"{folder} holds no whole backup ({MANIFEST} is missing)", field="folder") from error
    settings = Settings.from_environment()
    upkeep.restore_from(folder, settings.database, keep_id=keep_id)
    installation = _opened()
    copied, local = 0, _local(installation)
    if said["files"] and local is not None:
        for key, attempt, _, _ in said["places"]:
            copied += _bring(folder / "storage", local, key, attempt)
    absent = [
        (key, attempt) for key, attempt, digest, _ in said["places"]
        if (found := installation.storage.manifest(key, attempt)) is None or found.digest != digest
    ]  # fmt: skip
    click.echo(f"{len(upkeep.runs_by_id(installation.database))} runs, {copied} places restored, {len(absent)} missing")
    for place in absent[:20]:
        click.echo(f"missing: {_named((place[0], place[1]))}", err=True)
    if absent:
        click.echo("bring the files back, then: recast admin check --repair", err=True)
        raise click.exceptions.Exit(1)


@click.command("new-id")
def new_id() -> None:
    """Give this installation a new id: for a database that was copied by other means than `recast admin restore`.

    Two databases of one id in one namespace of a cluster end each other's Jobs. End its workers first; steps that run in
    the cluster for the old id are done again.

    \b
    Example:
      RECAST_DATABASE=postgresql://trial/recast recast admin new-id
    """
    from reana_lite.database import upkeep

    installation = _opened()
    before = installation.database.installation()
    click.echo(f"installation {before} is {upkeep.renew_id(installation.database)} now")


def _local(installation: Installation) -> LocalStorage | None:
    from reana_lite.storage.local import LocalStorage

    return installation.storage if isinstance(installation.storage, LocalStorage) else None


def _complete(installation: Installation) -> Iterator[tuple[str, int, Manifest]]:
    for key, attempt in sorted(installation.storage.places()):
        manifest = installation.storage.manifest(key, attempt)
        if manifest is not None:
            yield key, attempt, manifest


def _keep(local: LocalStorage, to: Path, key: str, attempt: int) -> bool:
    """Copy a place to the storage of a backup, unless it is there; whether it was copied."""
    from reana_lite.storage.local import LocalStorage

    return _copy(local, LocalStorage(to), key, attempt)


def _bring(source: Path, local: LocalStorage, key: str, attempt: int) -> bool:
    """Copy a place back, unless it is there; whether it was copied."""
    from reana_lite.storage.local import LocalStorage

    return _copy(LocalStorage(source), local, key, attempt)


def _copy(source: LocalStorage, target: LocalStorage, key: str, attempt: int) -> bool:
    manifest = source.manifest(key, attempt)
    if manifest is None or target.manifest(key, attempt) == manifest:
        return False
    place, new = target.place(key, attempt), target.root / "tmp" / f"copy-{key}-{attempt}"
    shutil.rmtree(new, ignore_errors=True)
    new.parent.mkdir(parents=True, exist_ok=True)
    try:
        # links as links, times and modes as they are; the manifest comes along, so that a place is there whole or not
        shutil.copytree(source.place(key, attempt), new, symlinks=True)
        if place.exists():
            target.remove(key, attempt)
        place.parent.mkdir(parents=True, exist_ok=True)
        new.rename(place)
    except FileNotFoundError:  # it was pruned meanwhile
        return False
    finally:
        shutil.rmtree(new, ignore_errors=True)
    if target.damage(key, attempt):
        target.remove(key, attempt)
        raise Conflict(f"{_named((key, attempt))} is damaged in {source.root}: recast admin check --deep says more")
    return True


COMMANDS = (retention, check, backup, restore, new_id, migrate)
