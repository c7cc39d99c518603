"""A preserved search as a value: what analysis.yml says.

    document     YAML text -> plain value, with the line of everything in it
    description  the value -> Analysis, or every fault of it together
    parameter    what a user gave -> values of the declared parameters, or what is wrong with them
    expectation  a declared test held against a result document
    recorded     what the tests gave when they were last recorded

Pure: whether the files named here exist is the catalogue's to say, and no rule of the workflow language is here.
The format is written down in ../analysis.schema.json; GLOSSARY.md has the words.
"""

from reana_lite.analysis.description import (
    Analysis,
    Citation,
    Declared,
    Download,
    Example,
    ScanTemplate,
    Software,
    Test,
    TheoryNeed,
    parse,
)
from reana_lite.analysis.document import Document, read_document
from reana_lite.analysis.expectation import Expectation, Judgement, hold, judge
from reana_lite.analysis.parameter import Parameter, bind
from reana_lite.analysis.recorded import Found, Record, read_records, write_records

__all__ = [
    "Analysis",
    "Citation",
    "Declared",
    "Document",
    "Download",
    "Example",
    "Expectation",
    "Found",
    "Judgement",
    "Parameter",
    "Record",
    "ScanTemplate",
    "Software",
    "Test",
    "TheoryNeed",
    "bind",
    "hold",
    "judge",
    "parse",
    "read_document",
    "read_records",
    "write_records",
]
