"""What doors call to submit: the rights and quotas of who asks, then intake.py; written down in the audit log.

The API, the form and REANA's API all come through here, so that they agree on what is right.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from flask import request

from reana_lite import foresight, intake
from reana_lite.database import RunRecord, audit, campaigns, shares, tokens, users, workspace_runs
from reana_lite.database.campaigns import CampaignRecord
from reana_lite.errors import Conflict, InvalidInput, NotAllowed
from reana_lite.event import RunState
from reana_lite.foresight import Foreseen
from reana_lite.intake import Asked, AskedScan
from reana_lite.planning import planner
from reana_lite.server import auth, quota, uploads
from reana_lite.server.auth import Caller, Verb
from reana_lite.server.installation import Installation, here


@dataclass(frozen=True, slots=True, kw_only=True)
class NewRun:
    """A run as a door asks for it: `theories` are digests of uploaded files; `texts` are parameters as typed in a form."""

    analysis: str
    theories: Sequence[str] = ()
    parameters: Mapping[str, Any] = field(default_factory=dict)
    texts: Mapping[str, str] = field(default_factory=dict)
    example: str = ""
    name: str = ""
    reuse: bool = True
    parent: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewScan:
    """A scan as a door asks for it. `theories` stand for all points; points come from one of `axes` (name -> range or list),
    `points`, `table` (the text of a CSV), `theory_points` (digests, a file for each point), `patchset` (a digest), or the
    analysis itself."""

    analyses: Sequence[str]
    axes: Mapping[str, str | Sequence[Any]] = field(default_factory=dict)
    points: Sequence[Mapping[str, Any]] = ()
    table: str = ""
    theory_points: Sequence[str] = ()
    patchset: str = ""
    where: Sequence[str] = ()
    template: str = ""
    theories: Sequence[str] = ()
    parameters: Mapping[str, Any] = field(default_factory=dict)
    texts: Mapping[str, str] = field(default_factory=dict)
    example: str = ""
    name: str = ""
    reuse: bool = True


def submit_run(wanted: NewRun, *, who: Caller | None = None) -> RunRecord:
    """Queue a run of a catalogue analysis; raises NotAllowed, NotFound, InvalidInput, InvalidAnalysis, Conflict (quota)."""
    who, installation = auth.need(Verb.SUBMIT, who), here()
    quota.check(installation, who.user)
    run = intake.submit_run(
        asked_of(installation, who, wanted),
        database=installation.database,
        storage=installation.storage,
        settings=installation.settings,
        owner=who.name,
        name=checked_name(wanted.name),
        reuse=wanted.reuse,
        parent=wanted.parent,
        guest=True,
    )
    note(who, "submit run", run)
    return installation.database.exact_run(run)


def rerun(record: RunRecord, *, name: str = "", reuse: bool | None = None, who: Caller | None = None) -> RunRecord:
    """The same again, as a restart of that run (whoever may see it may rerun it, as a run of their own)."""
    who, installation = auth.need(Verb.SUBMIT, who), here()
    kept = dict(record.request.get("asked") or {})
    if record.campaign:
        raise Conflict(f"run {record.id} is part of a campaign: try its failed points again by `retry` of the campaign")
    if not kept.get("target"):
        raise Conflict(f"run {record.id} was not submitted in a way that can be asked again", run=record.id)
    quota.check(installation, who.user)
    asked = Asked.from_dict(kept)
    if not all(Path(file).is_relative_to(installation.spool) for file in asked.files):
        raise Conflict(f"run {record.id} was made of files of another machine's user: upload them", run=record.id)
    uploads.bring_back(installation, asked.files)
    run = intake.submit_run(
        asked,
        database=installation.database,
        storage=installation.storage,
        settings=installation.settings,
        owner=who.name,
        name=checked_name(name) or record.name,
        reuse=record.request.get("reuse", True) if reuse is None else reuse,
        parent=record.id,
        guest=True,
    )
    note(who, "rerun", run)
    return installation.database.exact_run(run)


def submit_scan(wanted: NewScan, *, who: Caller | None = None) -> tuple[CampaignRecord, bool]:
    """(the campaign, whether an equal request had made it before: then stopped points go on); raises as submit_run."""
    who, installation = auth.need(Verb.SUBMIT, who), here()
    quota.check(installation, who.user)
    with scan_of(installation, who, wanted) as asked:
        record, known = intake.submit_scan(
            asked,
            database=installation.database,
            storage=installation.storage,
            settings=installation.settings,
            owner=who.name,
            name=checked_name(wanted.name),
            guest=True,
        )
    if known:
        reopen(record, ("stopped",), who=who, what="")
    note(who, "submit campaign", record.id)
    return campaigns.get(installation.database, record.id), known


def extend(record: CampaignRecord, wanted: NewScan, *, who: Caller | None = None) -> tuple[CampaignRecord, int, int]:
    """(the campaign, points added, points computed anew); `analyses`, theories and template stay those it has."""
    who, installation = auth.need(Verb.SUBMIT, who), here()
    quota.check(installation, who.user)
    old = record.request
    uploads.bring_back_request(installation, old)
    names = {*wanted.parameters, *wanted.texts}
    kept = tuple(text for text in old.assignments if text.partition("=")[0] not in names)
    same = replace(
        wanted, analyses=old.targets, template=wanted.template or old.template, example=old.example, reuse=old.reuse
    )
    settings = replace(installation.settings, user=record.owner)
    with (
        scan_of(installation, who, replace(same, patchset="" if old.patchset else wanted.patchset)) as asked,
        planner(installation.database, installation.storage, settings=settings) as planning,
    ):
        asked = replace(asked, files=old.files, assignments=(*kept, *asked.assignments))
        if old.patchset:
            asked = replace(asked, patchset=old.patchset)
        if asked.has_points:
            plan = intake.planned(asked, planning, guest=True)
        else:
            if not names:
                raise InvalidInput("give more points (axes, points, table) or other parameters", field="axes")
            intake.check_scan(asked, settings)
            points = [row.point for row in campaigns.all_points(installation.database, record.id)]
            uploads.bring_back(installation, [point.source for point in points if point.source])
            plan = planning.plan(asked.request(), points)
        added, again = planning.extend(record, plan)
    note(who, "extend campaign", record.id)
    return campaigns.get(installation.database, record.id), added, again


def reopen(record: CampaignRecord, states: tuple[str, ...], *, who: Caller, what: str) -> CampaignRecord:
    """Let points of these states be computed (again): resume and retry."""
    installation = here()
    quota.check(installation, who.user)
    database = installation.database
    with database.transaction() as transaction:
        campaigns.reopen(transaction, record.id, states=states)
    if what:
        note(who, what, record.id)
    return campaigns.get(database, record.id)


def foresee(wanted: NewRun | NewScan, *, who: Caller | None = None) -> Foreseen:
    """What a run or scan would compute, what is there, how long it takes; nothing is queued."""
    who, installation = who or auth.caller(), here()
    quota.check(installation, who.user)  # the files of what is asked for are kept
    common: Any = {"database": installation.database, "storage": installation.storage,
                   "settings": replace(installation.settings, user=who.name), "guest": True}  # fmt: skip
    if isinstance(wanted, NewRun):
        return foresight.foresee([asked_of(installation, who, wanted)], **common)
    with scan_of(installation, who, wanted) as asked:
        return foresight.foresee(asked, **common)


def asked_of(installation: Installation, who: Caller, wanted: NewRun) -> Asked:
    """What intake takes for a run."""
    return Asked(
        target=wanted.analysis,
        files=uploads.paths_of(installation, who.name, wanted.theories),
        parameters=dict(wanted.parameters),
        assignments=tuple(f"{name}={text}" for name, text in wanted.texts.items()),
        example=wanted.example,
        folder=str(installation.spool),
    )


@contextmanager
def scan_of(installation: Installation, who: Caller, wanted: NewScan) -> Iterator[AskedScan]:
    """What intake takes for a scan; a table lies in a file while the block lasts."""
    if not wanted.analyses:
        raise InvalidInput("name at least one analysis", field="analyses")

    def files(digests: Sequence[str]) -> tuple[str, ...]:
        return uploads.paths_of(installation, who.name, digests)

    with tempfile.TemporaryDirectory(prefix="recast-") as folder:
        table = Path(folder) / "points.csv"
        if wanted.table:
            table.write_text(wanted.table, "utf-8")
        yield AskedScan(
            targets=tuple(wanted.analyses),
            axes=dict(wanted.axes),
            points=tuple(wanted.points),
            table=str(table) if wanted.table else "",
            theories=files(wanted.theory_points),
            patchset=files([wanted.patchset])[0] if wanted.patchset else "",
            where=tuple(wanted.where),
            template=wanted.template,
            files=files(wanted.theories),
            parameters=dict(wanted.parameters),
            assignments=tuple(f"{name}={text}" for name, text in wanted.texts.items()),
            example=wanted.example,
            folder=str(installation.spool),
            reuse=wanted.reuse,
        )


def shares_of(thing: RunRecord | CampaignRecord) -> list[str]:
    """Who else may see a run, or a campaign and its runs."""
    return shares.users_of(here().database, kind_of(thing), thing.id)


def share(thing: RunRecord | CampaignRecord, user: str, *, who: Caller) -> None:
    """Let a user see it; raises InvalidInput if there is nobody of that name to share with."""
    found = auth.user_named(user)
    if found is None or found.disabled:
        raise InvalidInput(f"there is no user {user[:100]!r}", field="user", value=user[:100])
    shares.add(here().database, kind_of(thing), thing.id, found.name)
    note(who, f"share {kind_of(thing)}", f"{thing.id} {found.name}")


def unshare(thing: RunRecord | CampaignRecord, user: str, *, who: Caller) -> None:
    """Take that back; no error if they may not see it anyway."""
    shares.remove(here().database, kind_of(thing), thing.id, user)
    note(who, f"unshare {kind_of(thing)}", f"{thing.id} {user}")


def kind_of(thing: RunRecord | CampaignRecord) -> str:
    """What it is, as shares and the audit log call it."""
    return "run" if isinstance(thing, RunRecord) else "campaign"


def stop_run(record: RunRecord, *, who: Caller) -> RunState:
    """Ask for the end of a run; raises Conflict if it is over."""
    state = here().database.request_stop(record.id, by=who.name)
    note(who, "stop run", record.id)
    return state


def stop_campaign(record: CampaignRecord, *, who: Caller) -> int:
    """Ask for the end of a campaign; gives how many of its runs are concerned."""
    count = campaigns.stop(here().database, record.id, by=who.name)
    note(who, "stop campaign", record.id)
    return count


def delete_run(record: RunRecord, *, who: Caller) -> None:
    """Hide a run that is over; its outputs are removed when nothing names them any more. Raises Conflict if it is not."""
    if record.state in (RunState.CREATED, RunState.QUEUED, RunState.RUNNING):
        raise Conflict(f"run {record.id} is {record.state}: stop it first", run=record.id)
    with here().database.transaction() as transaction:
        workspace_runs.delete_run(transaction, record.id)
    note(who, "delete run", record.id)


def delete_campaign(record: CampaignRecord, *, who: Caller) -> int:
    """Remove a campaign and hide its runs; gives how many. Raises Conflict while anything of it is to be computed."""
    with here().database.transaction() as transaction:
        runs = campaigns.delete(transaction, record.id)
    note(who, "delete campaign", f"{record.id} {record.name}")
    return runs


def create_token(who: Caller, *, name: str = "", role: str = "", days: float = 90) -> tuple[str, tokens.TokenRecord]:
    """(the secret, shown this once, its record); never of more rights than who asks has. `days` 0: until it is revoked.

    One that a token makes does not outlive it. Raises NotAllowed for a token that only looks.
    """
    _need_for_tokens(who)
    wanted = auth.checked_role(role) if role else who.role
    if wanted.rank > who.role.rank:
        raise NotAllowed(f"a token of {who.name} can be {who.role} at most, not {wanted}", role=str(wanted))
    if len(name) > 200 or not name.isprintable():
        raise InvalidInput("the name of a token has at most 200 printable characters", field="name", value=name[:200])
    if not 0 <= days <= 3650:
        raise InvalidInput("a token is valid for 1 to 3650 days, or 0 for as long as it is not revoked", field="days")
    database, valid_s = here().database, days * 86400
    if who.expires_at and not who.session:
        left_s = max(1.0, who.expires_at - database.clock())
        valid_s = min(valid_s, left_s) if valid_s else left_s
    made = tokens.add(database, who.name, name=name.strip(), role=wanted, valid_s=valid_s)
    note(who, "create token", made[1].id)
    return made


def revoke_token(who: Caller, token: str) -> None:
    """Let one of one's own tokens in no more; raises NotFound, and NotAllowed for a token that only looks."""
    _need_for_tokens(who)
    tokens.revoke(here().database, who.name, token)
    note(who, "revoke token", token)


def _need_for_tokens(who: Caller) -> None:
    if not who.session:  # who is signed in may always look after their own
        auth.need(Verb.SUBMIT, who)


def change_user(who: Caller, name: str, **changes: Any) -> users.User:
    """Change an account: role, disabled, email, full_name, password (a hash), disk_bytes, running_jobs, cpu_s.

    Raises Conflict if no administrator were left.
    """
    database = here().database
    user = users.get(database, name)
    limits = {field: changes.pop(field) for field in ("disk_bytes", "running_jobs", "cpu_s") if field in changes}
    changed = replace(user, quota=replace(user.quota, **limits), **changes)
    users.change(database, changed)
    if "password" in changes:
        tokens.revoke_all(database, name)
    return changed


def checked_name(name: str) -> str:
    """A name for a run or campaign; raises InvalidInput."""
    if len(name) > 200 or not name.isprintable() or "/" in name:
        raise InvalidInput("a name has at most 200 printable characters and no slash", field="name", value=name[:200])
    return name.strip()


def note(who: Caller, what: str, object_: str = "") -> None:
    """Write into the audit log what somebody does now."""
    audit.note(here().database, who.name, what, object_, address=request.remote_addr or "")
