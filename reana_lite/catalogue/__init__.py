"""The analyses this installation can find, and what their files name elsewhere.

    sources      where to look, tokens and limits: one frozen value
    entries      folders, recast-atlas entries and index files -> what is there, by name
    fetching     bytes behind a URI; toplevels on GitHub and GitLab; downloads with their digest
    archive      zip files, unpacked without trusting them
    template     a new analysis to start from

A place: it reads folders and the network, keeps nothing but verified downloads. Called by target.py and the commands
of `recast catalogue`; no rule of the language is here.
"""

from reana_lite.catalogue.archive import unpack
from reana_lite.catalogue.axes import axes_of
from reana_lite.catalogue.entries import Catalogue, Entry, EntryKind, added, known_analysis, load_analysis, removed
from reana_lite.catalogue.fetching import fetch, fetcher, local_bytes, obtain, toplevel_uri
from reana_lite.catalogue.sources import Sources
from reana_lite.catalogue.template import create

__all__ = [
    "Catalogue",
    "Entry",
    "EntryKind",
    "Sources",
    "added",
    "axes_of",
    "create",
    "fetch",
    "fetcher",
    "known_analysis",
    "load_analysis",
    "local_bytes",
    "obtain",
    "removed",
    "toplevel_uri",
    "unpack",
]
