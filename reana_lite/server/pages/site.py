"""What pages ask of the server they are part of: who looks, what may be seen, the one way in for what is asked.

Permissions are auth.py's, validation is intake.py's (by submissions.py): here forms become what these take.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, BinaryIO, cast

from reana_lite.campaign import Progress
from reana_lite.catalogue import Catalogue
from reana_lite.config import Settings
from reana_lite.database import (
    Database,
    RunRecord,
    audit,
    campaigns,
    listing,
    queue,
    theory_files,
    tokens,
    users,
)
from reana_lite.database.campaigns import CampaignRecord
from reana_lite.database.users import Role, User
from reana_lite.errors import InvalidInput, NotAllowed, NotFound
from reana_lite.forecast import Forecast
from reana_lite.server import auth, quota, submissions, uploads
from reana_lite.server.auth import Verb
from reana_lite.server.installation import here as installation
from reana_lite.server.pages.lines import AuditLine, QuotaLine, TokenLine, UserLine, WorkerLine
from reana_lite.server.passwords import hashed
from reana_lite.storage.base import Storage


@dataclass(frozen=True, slots=True)
class Viewer:
    """Who looks at a page. `role` is admin, user or read-only; `csrf` goes into every form."""

    name: str
    role: str
    csrf: str

    @property
    def may_write(self) -> bool:
        """Whether they may submit, stop and change."""
        return self.role != Role.READ_ONLY


@dataclass(frozen=True, slots=True)
class KeptFile:
    """A theory file that was sent: it is kept by its digest, and need not be sent again."""

    digest: str
    name: str


@dataclass(frozen=True, slots=True)
class FilledForm:
    """What a form asks for: one run, or with points (`axes`, `table`, `each`, `patchset`, `published`) a campaign.

    `parameters` are texts as typed, empty ones left out. `theories` are digests of files that stand for the theory together,
    `each` of files that are a point each. `axes` are (name, from, to, step) as typed; `where` a condition; `table` the text
    of a table. `also` are other analyses of the same points. `parent`: the run this one restarts.
    """

    analysis: str
    also: tuple[str, ...] = ()
    name: str = ""
    theories: tuple[str, ...] = ()
    parameters: Mapping[str, str] = field(default_factory=dict)
    example: str = ""
    axes: tuple[tuple[str, str, str, str], ...] = ()
    each: tuple[str, ...] = ()
    patchset: str = ""
    published: bool = False
    template: str = ""
    where: str = ""
    table: str = ""
    reuse: bool = True
    parent: str = ""

    @property
    def many(self) -> bool:
        """Whether this is a scan."""
        return bool(self.axes or self.table or self.each or self.patchset or self.published)


SUMMED = 12
"""Users for whom it is summed up what they have taken, which takes time; of more, who looks for one of them sees it."""


class Site:
    """The server as pages see it. What a viewer may not see raises NotFound; what they may not do NotAllowed."""

    @property
    def settings(self) -> Settings:
        """The settings of the installation."""
        return installation().settings

    @property
    def database(self) -> Database:
        """Its records."""
        return installation().database

    @property
    def storage(self) -> Storage:
        """Its files."""
        return installation().storage

    def viewer(self) -> Viewer | None:
        """Who looks; None if nobody is signed in."""
        who = auth.find_caller()
        return None if who is None else Viewer(who.name, str(who.role), auth.csrf_token())

    def accounts(self) -> bool:
        """Whether there is a sign-in at all (a laptop does without)."""
        return users.are_there(self.database)

    def catalogue(self) -> Catalogue:
        """The analyses."""
        return installation().catalogue()

    # -- what may be seen ----------------------------------------------------------------------------------------------
    def run(self, name: str) -> RunRecord:
        """A run that the viewer may read."""
        return auth.run_named(name)

    def runs(
        self, *, states: Sequence[str] = (), analysis: str | None = None, campaign: str | None = None,
        name: str | None = None, before: str | None = None, limit: int, everybody: bool = False, shared: bool = False,
    ) -> list[RunRecord]:  # fmt: skip
        """The viewer's runs, the newest first; those of a campaign they may see, those that others share with them, or of
        `everybody` for administrators. `before` is the last run of the page before."""
        who = auth.need(Verb.ADMINISTER) if everybody else auth.caller()
        owner = None if everybody or shared else who.name
        if campaign:
            found = auth.campaign_named(campaign)
            campaign, owner = found.id, found.owner
        last = listing.find_run(self.database, before) if before else None
        return listing.runs(
            self.database, owner=owner, states=states, analysis=analysis, campaign=campaign, name=name, limit=limit,
            shared_with=who.name if shared else None, after=(last.created_at, last.id) if last is not None else None,
        )  # fmt: skip

    def shares(self, thing: RunRecord | CampaignRecord) -> list[str]:
        """Who else may see a run or campaign."""
        return submissions.shares_of(thing)

    def share(self, thing: RunRecord | CampaignRecord, user: str, *, end: bool) -> str:
        """Let a user see it, or not any more; gives a sentence. Raises InvalidInput if there is nobody of that name."""
        who, kind = auth.caller(), submissions.kind_of(thing)
        if not auth.may(who, Verb.CHANGE, thing):
            raise NotAllowed(f"only its owner may share this {kind}")
        if end:
            submissions.unshare(thing, user, who=who)
            return f"{user} does not see this {kind} any more."
        submissions.share(thing, user, who=who)
        return f"{user} sees this {kind} now."

    def may_see(self, run: str) -> bool:
        """Whether a run is there for the viewer."""
        found = listing.find_run(self.database, run) if run else None
        return found is not None and auth.may(auth.caller(), Verb.SEE, found)

    def campaign(self, name: str) -> CampaignRecord:
        """A campaign that the viewer may read."""
        return auth.campaign_named(name)

    def campaigns(self, *, limit: int, shared: bool = False) -> list[tuple[CampaignRecord, Progress]]:
        """The viewer's campaigns (or those that others share with them), the newest first, and how far they are."""
        name = auth.caller().name
        owner, other = (None, name) if shared else (name, None)
        found = listing.campaign_page(self.database, owner=owner, shared_with=other, limit=limit)
        known = campaigns.progresses(self.database, [one.id for one in found])
        return [(one, known[one.id]) for one in found]

    def may_change(self, thing: RunRecord | CampaignRecord) -> bool:
        """Whether the viewer may stop it, and more."""
        return auth.may(auth.caller(), Verb.CHANGE, thing)

    # -- what is asked -------------------------------------------------------------------------------------------------
    def submit(self, asked: FilledForm) -> tuple[str, str]:
        """Begin it: ("run", id) or ("campaign", id). Raises InvalidInput with `faults`."""
        wanted = self._wanted(asked)
        if isinstance(wanted, submissions.NewRun):
            return "run", submissions.submit_run(wanted).id
        return "campaign", submissions.submit_scan(wanted)[0].id

    def forecast(self, asked: FilledForm) -> tuple[Forecast, int]:
        """(what it would compute and how long it takes, points that would be refused)."""
        auth.need(Verb.SUBMIT)
        found = submissions.foresee(self._wanted(asked))
        return found.forecast, found.refused

    def keep(self, name: str, content: IO[bytes]) -> KeptFile:
        """A theory file that is sent, read once and kept; raises InvalidInput."""
        found = uploads.keep_theory_file(installation(), auth.need(Verb.SUBMIT).name, cast(BinaryIO, content), name)
        return KeptFile(found.digest, found.name)

    def kept_files(self, digests: Sequence[str]) -> list[KeptFile]:
        """Those of the viewer's theory files that have these digests."""
        found = []
        for digest in digests:
            with contextlib.suppress(NotFound):
                record = theory_files.get(self.database, auth.caller().name, digest)
                found.append(KeptFile(record.digest, record.name))
        return found

    def theory_files_of(self, record: RunRecord) -> list[KeptFile]:
        """The theory files that a run was asked for with, as far as they are the viewer's own uploads."""
        paths = [Path(text) for text in (record.request.get("asked") or {}).get("files", ())]
        folder = installation().spool / "theories"
        return self.kept_files([
            f"sha256:{path.relative_to(folder).parts[0]}" for path in paths if path.is_relative_to(folder)
        ])  # fmt: skip

    def _wanted(self, asked: FilledForm) -> submissions.NewRun | submissions.NewScan:
        common: Any = {"theories": asked.theories, "texts": asked.parameters, "example": asked.example,
                       "name": asked.name, "reuse": asked.reuse}  # fmt: skip
        if not asked.many:
            return submissions.NewRun(analysis=asked.analysis, parent=asked.parent, **common)
        return submissions.NewScan(
            analyses=(asked.analysis, *asked.also), axes=axes_of(asked.axes), table=asked.table,
            theory_points=asked.each, patchset=asked.patchset, where=(asked.where,) if asked.where else (),
            template=asked.template, **common,
        )  # fmt: skip

    def stop_run(self, run: str) -> None:
        """Ask for its end."""
        submissions.stop_run(auth.run_named(run, Verb.CHANGE), who=auth.caller())

    def rerun(self, run: str) -> str:
        """The same request as a new run that names the old one; gives its id."""
        return submissions.rerun(auth.run_named(run)).id

    def change_campaign(self, campaign: str, action: str, axes: Sequence[tuple[str, str, str, str]]) -> str:
        """stop, resume, retry or extend by `axes`; gives a sentence on what was done."""
        record = auth.campaign_named(campaign, Verb.CHANGE)
        who = auth.caller()
        if action == "stop":
            count = submissions.stop_campaign(record, who=who)
            return f"The campaign is being stopped; {count} runs are ended. What is finished is kept."
        if action == "resume":
            submissions.reopen(record, ("stopped",), who=who, what="resume campaign")
            return "The campaign goes on."
        if action == "retry":
            submissions.reopen(record, ("failed", "refused", "stopped"), who=who, what="retry campaign")
            return "The points that failed are tried again."
        _, added, again = submissions.extend(record, submissions.NewScan(analyses=(), axes=axes_of(axes)))
        return f"{added} points were added" + (f", {again} are computed anew." if again else ".")

    # -- accounts ------------------------------------------------------------------------------------------------------
    def tokens(self) -> list[TokenLine]:
        """The viewer's tokens."""
        found = tokens.listed(self.database, auth.caller().name)
        return [
            TokenLine(one.id, one.name, str(one.role), one.created_at, one.used_at, one.expires_at)
            for one in found
            if one.kind == "token"
        ]

    def create_token(self, name: str, role: str, days: float) -> str:
        """A new token, shown once; it never may more than its owner."""
        who = auth.caller()
        if not name:
            raise InvalidInput("a token needs a name, to be told from others", field="name")
        return submissions.create_token(who, name=name, role=role, days=days)[0]

    def revoke_token(self, token: str) -> None:
        """No use from now on."""
        submissions.revoke_token(auth.caller(), token)

    def quotas(self) -> list[QuotaLine]:
        """What the viewer may use, and uses."""
        who = auth.caller()
        used, most = quota.usage(installation(), who.name), who.user.quota
        return [
            QuotaLine("storage", used.disk_bytes, most.disk_bytes or None, "bytes"),
            QuotaLine("computing", round(used.cpu_s / 3600, 2), most.cpu_s / 3600 if most.cpu_s else None, "hours"),
            QuotaLine("steps at once", used.running_jobs, most.running_jobs or None, "steps"),
        ]

    def users(self, words: str = "", *, limit: int = 50) -> list[UserLine]:
        """Users with these letters in their name or address, by name; administrators only."""
        auth.need(Verb.ADMINISTER)
        counts = listing.runs_by_owner(self.database)
        lines = []
        known = [u for u in users.listed(self.database) if words.lower() in f"{u.name} {u.email}".lower()]
        for user in known[:limit]:
            taken = quota.usage(installation(), user.name).disk_bytes if len(known) <= SUMMED else None
            most = user.quota.disk_bytes or None
            lines.append(UserLine(user.name, str(user.role), not user.disabled, counts.get(user.name, 0), taken, most))
        return lines

    def change_user(self, action: str, values: Mapping[str, str]) -> str:
        """create, disable, enable, quota (with role); gives a sentence."""
        who = auth.need(Verb.ADMINISTER)
        name = values.get("name", "").strip()
        if action == "create":
            role = auth.checked_role(values.get("role", ""))
            users.add(self.database, User(name, role, password=hashed(values.get("password", ""))))
            submissions.note(who, "create user", name)
            return f"{name} may sign in now."
        if action in ("disable", "enable"):
            submissions.change_user(who, name, disabled=action == "disable")
        elif action == "quota":
            changed = {"role": auth.checked_role(values["role"])} if values.get("role") else {}
            disk = {"disk_bytes": _bytes(values["limit_gb"])} if values.get("limit_gb") else {}
            submissions.change_user(who, name, **changed, **disk)
        else:
            raise NotFound(f"no action {action!r}; there are create, disable, enable, quota", action=action)
        submissions.note(who, f"{action} user", name)
        return f"{name} is changed."

    def workers(self) -> list[WorkerLine]:
        """Workers that have given a sign of life lately; administrators only."""
        auth.need(Verb.ADMINISTER)
        return [
            WorkerLine(row["name"], row["host"], row["runs"], row["started_at"], row["seen_at"], row["backend"])
            for row in listing.workers(self.database)
        ]

    def waiting(self) -> dict[str, int]:
        """How many runs and points wait or run, of everybody; administrators only."""
        auth.need(Verb.ADMINISTER)
        counts, _ = listing.standing(self.database)
        return counts | {"planned": queue.points_without_run(self.database)}

    def audit(self, *, before: int, limit: int) -> list[AuditLine]:
        """Who did what, the newest first; administrators only."""
        auth.need(Verb.ADMINISTER)
        rows = audit.listed(self.database, before=before, limit=limit)
        return [AuditLine(row["number"], row["at"], row["who"], row["what"], row["object"]) for row in rows]

    def health(self) -> list[tuple[str, bool, str]]:
        """(part, whether it answers, a sentence)."""
        found = []
        for part, look in (("database", self.database.installation), ("storage", self.storage.check)):
            try:
                look()
            except Exception as error:  # noqa: BLE001 - whatever it is, it does not answer
                found.append((part, False, str(error)))
            else:
                found.append((part, True, "answers"))
        return found


def axes_of(axes: Sequence[tuple[str, str, str, str]]) -> dict[str, str]:
    """Axes as intake takes them: NAME -> "FROM:TO:STEP" or one value; InvalidInput for an end that is missing."""
    found = {}
    for name, low, high, step in axes:
        if low and not high and not step:
            found[name] = low
        elif low and high and step:
            found[name] = f"{low}:{high}:{step}"
        else:
            raise InvalidInput(f"axis {name!r} needs from, to and step, or only one value in from", field=name)
    return found


def _bytes(gigabytes: str) -> int:
    try:
        return max(0, int(float(gigabytes) * 1e9))
    except (ValueError, OverflowError):
        raise InvalidInput(f"{gigabytes!r} is no number of GB", field="limit_gb", value=gigabytes) from None


_SITE = Site()


def this_site() -> Site:
    """The site that this request is of."""
    return _SITE
