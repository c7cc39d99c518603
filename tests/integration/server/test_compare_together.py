"""Several campaigns on the page Compare: a contour of each in one plane, or a sentence why there is none."""

from __future__ import annotations

import re

from browsing import FAST, begin
from serving import World

PLANE = {"a__gluino__m_gluino__from": "1400", "a__gluino__m_gluino__to": "3000", "a__gluino__m_gluino__step": "800",
         "a__gluino__m_lsp__from": "0", "a__gluino__m_lsp__to": "400", "a__gluino__m_lsp__step": "400",
         "template": "gluino"}  # fmt: skip


def test_two_campaigns_have_a_contour_each_or_are_told_apart(world: World) -> None:
    client = world.browser("alice")
    first = begin(client, "counting", theory="scan", name="first", **PLANE, **FAST)
    second = begin(client, "counting", theory="scan", name="second", **PLANE, **{**FAST, "p__n_events": "200"})
    row = begin(
        client,
        "counting",
        theory="scan",
        name="row",
        **{**PLANE, "a__gluino__m_lsp__to": "", "a__gluino__m_lsp__step": ""},
        **FAST,
    )
    theirs = begin(world.browser("bob"), "counting", theory="scan", name="first", **PLANE, **FAST)
    world.drive()
    page = client.get(f"/compare?of={first}&of={second}").text
    assert "A contour for each campaign" in page
    assert len(re.findall(r'<path class="s-part s-part-[01]" d=', page)) >= 2
    assert re.findall(r"</svg> (first|second)</li>", page) == ["first", "second"]
    assert "m(gluino) [GeV]" in page, "what the analysis calls the axis"
    assert re.search(r"<td>first</td>.*<td>second</td>", page, re.DOTALL), "mass limits of each"
    figure = client.get(f"/compare/contour.svg?of={first}&of={second}")
    assert figure.mimetype == "image/svg+xml"
    plot = client.get(f"/compare/interactive?of={first}&of={second}").text
    assert "first, observed" in plot
    assert "second, expected" in plot
    page = client.get(f"/compare?of={first}&of={row}").text
    assert "There is no contour for each campaign: campaign row has" in page
    assert "s-part-1" not in page
    page = world.browser("root").get(f"/compare?of={first}&of={theirs}").text
    assert re.findall(r"</svg> (first [^<]*)</li>", page) == ["first (alice)", "first (bob)"], "names are a user's own"
