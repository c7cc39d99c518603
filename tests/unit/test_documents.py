"""Documents: every page is reached from the README, every link leads somewhere, every command in them exists."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from reana_lite.cli import recast

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    path
    for pattern in ("*.md", "docs/*.md", "k8s/*.md", "k8s/dev/*.md", "benchmarks/*.md", "workflows/*/README.md")
    for path in ROOT.glob(pattern)
)
LINK = re.compile(r"\]\(([^)\s]+)\)")
OURS = re.compile(r"^(?:\$ |    )?((?:\$\()?recast(?: .*)?)$")


def links(page: Path) -> Iterator[tuple[str, Path]]:
    for target in LINK.findall(page.read_text(encoding="utf-8")):
        if not re.match(r"[a-z]+:", target) and not target.startswith("#"):
            yield target, (page.parent / target.partition("#")[0]).resolve()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    assert [target for target, path in links(page) if not path.exists()] == []


def test_every_page_is_reached_from_the_readme() -> None:
    reached, left = set(), [ROOT / "README.md"]
    while left:
        page = left.pop()
        if page in reached:
            continue
        reached.add(page)
        for _, path in links(page):
            left += [path] if path.suffix == ".md" else [path / "README.md"] if (path / "README.md").is_file() else []
    unreached = [str(page.relative_to(ROOT)) for page in PAGES if page not in reached]
    assert unreached == []


def commands(page: Path) -> Iterator[str]:
    """Lines of code blocks that begin with recast, remarks left out; a comma or bracket of prose is none."""
    inside = False
    for line in page.read_text(encoding="utf-8").splitlines():
        if line.startswith("```"):
            inside = not inside
        found = OURS.match(line) if inside or line.startswith("    ") else None
        if found and "--backend reana" not in line:  # recast-atlas's own command
            yield found[1].split("  #")[0].split(" # ")[0].removeprefix("$(").removesuffix(")")


def faults(line: str) -> list[str]:
    """What of a command line does not exist: commands and options; arguments are not looked at."""
    words = [word for word in shlex.split(line)[1:] if word not in ("...",)]
    command: click.Command = recast
    wrong = []
    expecting = 0
    for word in words:
        if word in ("&&", "|", ">", ";"):
            break
        if expecting:
            expecting -= 1
        elif word.startswith("-") and not word[1:2].isdigit() and word != "-":
            name = word.partition("=")[0]
            known = {
                opt: param
                for param in (*recast.params, *command.params)
                for opt in (*param.opts, *param.secondary_opts)
            }
            if name not in known:
                wrong.append(f"{line}: no option {name}")
                break
            param = known[name]
            if isinstance(param, click.Option) and not param.is_flag and not param.count and "=" not in word:
                expecting = param.nargs
        elif isinstance(command, click.Group):
            inner = command.get_command(click.Context(command), word)
            if inner is None:
                wrong.append(f"{line}: no command {word}")
                break
            command = inner
    return wrong


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_exist(page: Path) -> None:
    assert [fault for line in commands(page) for fault in faults(line)] == []


def test_a_command_that_does_not_exist_is_found() -> None:
    assert faults("recast nosuch") == ["recast nosuch: no command nosuch"]
    assert faults("recast run x --nosuch 1") == ["recast run x --nosuch 1: no option --nosuch"]
    assert faults("recast admin users quota alice --disk 500G --jobs 100") == []
