"""What a physicist does with the pages, in a real browser: submit, watch, read; by keyboard, on a phone, at night."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from serving import PASSWORD, THEORY

SIZES = {"desktop": {"width": 1280, "height": 900}, "phone": {"width": 390, "height": 844}}
LIMIT_MS = 60_000


def fast(page: Any) -> None:
    """Few events."""
    page.fill("[id=p-n_events]", "400")
    page.fill("[id=p-blocks]", "[1]")


def theory_file(folder: Path) -> Path:
    path = folder / "my_theory.yml"
    path.write_bytes(THEORY)
    return path


def scan(page: Any) -> str:
    """Submit a scan of eight points by the form; its address."""
    page.goto("/analyses/counting")
    for axis, values in {"m_gluino": ("1800", "2400", "200"), "m_lsp": ("0", "800", "800")}.items():
        for end, value in zip(("from", "to", "step"), values, strict=True):
            page.fill(f"[id='a.gluino.{axis}.{end}']", value)
    page.check("input[name=theory][value=scan]")
    fast(page)
    page.click("button:text-is('Run')")
    page.wait_for_url(re.compile("/campaigns/"))
    return str(page.url)


def finished(page: Any) -> None:
    page.wait_for_selector("#live:not([hx-get])", timeout=LIMIT_MS)


def test_a_theory_by_form_to_its_verdict_and_plot(visit: Any, tmp_path: Path) -> None:
    page = visit().page
    page.goto("/")
    page.click("text=A counting experiment in two regions")
    page.set_input_files("#file", theory_file(tmp_path))
    assert page.is_checked("input[name=theory][value=files]"), "choosing a file means the file"
    fast(page)
    page.fill("#name", "mine")
    page.click("button:text-is('Run')")
    page.wait_for_url(re.compile("/runs/"))
    finished(page)
    assert page.inner_text(".verdict header strong") == "Excluded at 95 % CL"
    image = page.locator("figure img")
    image.scroll_into_view_if_needed()
    page.wait_for_function(
        "() => { const i = document.querySelector('figure img'); return i.complete && i.naturalWidth > 100 }"
    )
    assert "tight" in page.inner_text("[aria-label='Yields per region']")
    page.click("svg a:has-text('generate')")
    page.locator("svg a[href$='#node']").first.click()
    page.wait_for_selector("#node")


def test_a_scan_by_form_to_its_contour(visit: Any) -> None:
    visitor = visit()
    page = visitor.page
    scan(page)
    finished(page)
    assert page.locator("svg.plane path.s-observed").count() >= 1
    assert page.locator("svg.plane a use").count() == 8
    page.locator("svg.plane a").first.click(force=True)
    page.wait_for_url(re.compile("/runs/"))
    page.go_back()
    page.click("text=Interactive plot")
    page.wait_for_selector("#plot .main-svg")
    assert page.locator("#plot .scatterlayer .trace").count() >= 3


def test_a_theory_without_javascript(visit: Any, site: Any, tmp_path: Path) -> None:
    page = visit(java_script_enabled=False).page
    page.goto("/analyses/counting")
    page.check("input[name=theory][value=files]")
    page.set_input_files("#file", theory_file(tmp_path))
    page.fill("[id=p-n_events]", "300")
    page.click("button:text-is('Run')")
    run = page.url.rpartition("/")[2]
    from serving import until

    until(lambda: str(site.world.database.get_run(run).state) == "finished")
    until(lambda: site.world.database.get_result(run, "declared") is not None)
    page.reload()
    assert "at 95 % CL" in page.inner_text(".verdict header strong")
    page.click("text=All files of this run")
    page.click("text=limit/")
    page.click("text=result.json")
    assert '"verdict"' in page.inner_text("pre")


def test_by_keyboard_alone(visit: Any) -> None:
    page = visit("", viewport=SIZES["desktop"]).page
    page.goto("/")
    page.wait_for_url(re.compile("/sign-in"))
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to content"
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    page.keyboard.type("alice")
    page.keyboard.press("Tab")
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_selector("text=Preserved analyses")
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.textContent") == "Two steps of the shell":
            break
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid", "it is seen where one is"
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile("/analyses/tiny"))
    page.focus("#p-n")
    page.keyboard.type("2")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile("/runs/"))
    finished(page)


def test_a_scan_by_keyboard_alone(visit: Any) -> None:
    """From the first field of the form to its button, in the order of the tab key, nothing but keys."""
    page = visit(viewport=SIZES["desktop"]).page
    page.goto("/analyses/counting")
    page.focus("input[name=theory]:checked")
    keys = {"a.gluino.m_gluino.from": "1800", "a.gluino.m_gluino.to": "2200", "a.gluino.m_gluino.step": "200",
            "a.gluino.m_lsp.from": "0", "p-n_events": "400", "p-blocks": "[1]", "name": "by keys"}  # fmt: skip
    filled: list[str] = []
    for _ in range(60):
        page.keyboard.press("Tab")
        here = page.evaluate("document.activeElement.id || document.activeElement.textContent")
        if here in keys:
            page.keyboard.type(keys[here])
            filled.append(here)
        elif here == "Run":
            break
    assert filled == list(keys), "every field is reached, in the order in which it is read"
    assert page.is_checked("input[name=theory][value=scan]"), "who fills in a scan means the scan"
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile("/campaigns/"))
    finished(page)
    assert page.inner_text("h1") == "by keys"
    assert page.locator("svg.plane path.s-crossing").count() >= 1
    assert page.locator("svg.plane a use").count() == 3
    page.locator("svg.plane a").first.focus()
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile("/runs/"))


def test_a_scan_of_many_files_and_another_analysis(visit: Any, tmp_path: Path) -> None:
    page = visit().page
    page.goto("/analyses/counting")
    files = []
    for mass in (1800, 2400):
        files.append(tmp_path / f"theory_{mass}.yml")
        files[-1].write_bytes(THEORY.replace(b"2000", str(mass).encode()))
    page.set_input_files("#each", files)
    assert page.is_checked("input[name=theory][value=each]")
    fast(page)
    page.click("button:text-is('How long will it take?')")
    page.wait_for_selector("#plan")
    page.set_input_files("#each", files)
    page.click("button:text-is('Run')")
    page.wait_for_url(re.compile("/campaigns/"))
    finished(page)
    assert page.locator("svg.plane a use").count() == 2
    assert page.locator("#live table >> text=theory_1800").count() >= 1


def test_what_is_wrong_is_said_where_it_is(visit: Any) -> None:
    page = visit().page
    page.goto("/analyses/tiny")
    page.fill("#p-n", "1000")
    page.click("button:text-is('Run')")
    page.wait_for_selector("[role=alert]")
    assert page.input_value("#p-n") == "1000"
    assert page.get_attribute("#p-n", "aria-invalid") == "true"


def test_a_log_appears_while_its_step_runs_and_states_change(visit: Any) -> None:
    page = visit().page
    page.goto("/analyses/tiny")
    page.fill("#p-n", "13")
    page.click("button:text-is('Run')")
    page.wait_for_url(re.compile("/runs/"))
    finished(page)
    assert "counting to 13" in page.inner_text("pre.log >> nth=0")
    assert page.locator(".chip.failed").count() >= 1


@pytest.fixture(scope="session")
def places(visitor_named: Any) -> dict[str, str]:
    """The addresses of every kind of page, with something on it."""
    visitor = visitor_named("root")
    page = visitor.page
    page.goto("/analyses/tiny")
    page.fill("#p-n", "13")
    page.click("button:text-is('Run')")
    page.wait_for_url(re.compile("/runs/"))
    finished(page)
    failed = page.url
    campaign = scan(page)
    finished(page)
    run = page.get_attribute("svg.plane a >> nth=0", "href")
    name = campaign.rpartition("/")[2]
    page.goto("/analyses/counting")
    page.fill("[id='a.gluino.m_gluino.from']", "1800")
    page.fill("[id='a.gluino.m_gluino.to']", "2400")
    page.fill("[id='a.gluino.m_gluino.step']", "300")
    fast(page)
    page.click("button:text-is('Run')")
    page.wait_for_url(re.compile("/campaigns/"))
    finished(page)
    row = page.url
    visitor.context.close()
    return {
        "home": "/", "analysis": "/analyses/counting", "runs": "/runs", "run": f"{run}?stage=generate&node=/generate/0",
        "failed": failed, "files": f"{run}/files/", "file": f"{run}/files/limit/result.json",
        "log": f"{failed}/log?node=/count/0",
        "campaigns": "/campaigns", "campaign": campaign, "row": row,
        "clone": f"/analyses/counting?like={str(run).rpartition('/')[2]}",
        "shared": "/runs?shared=1", "found": "/?q=counting", "compare": f"/compare?of={name}", "profile": "/profile",
        "interactive": f"/compare/interactive?of={name}", "admin": "/admin", "help": "/help", "error": "/runs/nothing",
    }  # fmt: skip


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
def test_every_page_is_accessible_and_fits(visit: Any, places: dict[str, str], scheme: str, size: str) -> None:
    visitor = visit("root", color_scheme=scheme, viewport=SIZES[size])
    found: list[str] = []
    for name, address in places.items():
        visitor.page.goto(address)
        if name == "interactive":
            visitor.page.wait_for_selector("#plot .main-svg")
        found += [f"{name}: {text}" for text in visitor.axe()]
        width = visitor.page.evaluate("document.documentElement.scrollWidth")
        if width > SIZES[size]["width"]:
            found.append(f"{name}: {width} wide")
    assert found == [], "\n".join(found)


def test_the_page_of_signing_in_is_accessible(visit: Any) -> None:
    visitor = visit("", viewport=SIZES["phone"])
    visitor.page.goto("/sign-in")
    assert visitor.axe() == []


def test_names_and_files_run_nothing(visit: Any, site: Any) -> None:
    page = visit().page
    page.goto("/analyses/tiny")
    page.fill("#name", "<img src=x onerror=alert(1)>")
    page.click("button:text-is('Run')")
    page.wait_for_url(re.compile("/runs/"))
    finished(page)
    assert page.inner_text("h1") == "<img src=x onerror=alert(1)>.1"
    assert page.locator("h1 img").count() == 0


@pytest.mark.slow
def test_the_main_job_by_form(visit: Any, site: Any) -> None:
    """A gluino of 2 TeV by the shipped analysis: half a minute for its environment, then the run."""
    page = visit().page
    page.goto("/analyses/atlas-susy-2018-22")
    example = Path(__file__).parents[2] / "workflows" / "atlas-susy-2018-22" / "examples" / "gluino_2000_0.slha"
    page.set_input_files("#file", example)
    page.fill("[id=p-n_events]", "1000")
    page.click("button:text-is('Run')")
    page.wait_for_url(re.compile("/runs/"))
    page.wait_for_selector("#live:not([hx-get])", timeout=300_000)
    assert page.inner_text(".verdict header strong") == "Excluded at 95 % CL"
    assert "MB-GGd" in page.inner_text("tr.best")
    steps = re.search(r"(\d+) of \1 steps", page.inner_text("#live"))
    assert steps is not None, "all steps are over"
    page.locator("figure img").scroll_into_view_if_needed()
    page.wait_for_function(
        "() => { const i = document.querySelector('figure img'); return i.complete && i.naturalWidth > 100 }"
    )
    page.click("text=plots/limits.pdf")
    page.wait_for_selector("text=A PDF file")
    page.go_back()
    page.click("svg a:has-text('generate')")
    page.wait_for_selector("svg a[href$='#node']")
    # the same theory again is there already
    page.click("text=Clone with changes")
    assert page.is_checked("input[name=theory][value=kept]")
    page.click("text=How long will it take?")
    page.wait_for_selector(f"text={steps[0]} are there already")
