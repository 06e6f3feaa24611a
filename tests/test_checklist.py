"""The checklist is whole, and the tests that it names are there."""

import ast
import re
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CHECKLIST = (ROOT / "docs" / "checklist.md").read_text(encoding="utf-8")
POINTS = re.findall(r"^\| (\d+) \| (.+?) \| (.+) \|$", CHECKLIST, re.MULTILINE)
TEST = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")


@cache
def functions_of(path):
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    return {each.name for each in tree.body if isinstance(each, ast.FunctionDef)}


def test_no_point_is_left_out():
    assert [int(number) for number, *_ in POINTS] == list(range(1, 80))


def test_every_point_has_a_test_or_a_reason():
    for number, behaviour, held in POINTS:
        assert len(behaviour.split()) > 2, number
        assert TEST.search(held) or len(held.split()) > 5, number


def test_every_test_that_is_named_is_there():
    named = set(TEST.findall(CHECKLIST))

    assert len(named) == len(set(re.findall(r"tests/[^`]*", CHECKLIST)))
    for path, name in sorted(named):
        assert name in functions_of(path), f"{path}::{name}"
