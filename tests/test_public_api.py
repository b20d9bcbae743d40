"""The public API: its names and signatures, and what breaks since the last release."""

import re
import subprocess

import griffe
import pytest

from helpers.public_api import (
    ROOT,
    api_pages,
    breaking_changes,
    breaking_section,
    describe,
    load_source,
)

CHANGELOG = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
#: Version and commit of the last release.
VERSION, COMMIT = (ROOT / ".ci/last_release").read_text(encoding="utf-8").split()


def git(*words):
    """Return what git prints; None if it fails, as outside of a clone."""
    run = subprocess.run(
        ["git", "-C", str(ROOT), *words], capture_output=True, text=True
    )
    return run.stdout if run.returncode == 0 else None


def package(code):
    """Return a package whose modules `heads` and `inner` have this code."""
    files = {"__init__.py": "", "heads.py": code, "inner.py": code}
    with griffe.temporary_visited_package("dlp", files) as result:
        return result


def test_names_and_signatures(approved):
    approved("api.txt", describe(load_source(), api_pages()))


def test_a_release_is_one_of_the_last_two_of_the_changelog():
    dated = re.findall(r"^## \[(.+)\] - ", CHANGELOG, re.M)
    assert VERSION in dated[:2]


@pytest.mark.slow
def test_a_breaking_change_is_under_breaking_in_the_changelog():
    if git("cat-file", "-e", f"{COMMIT}:src/dlp/__init__.py") is None:
        pytest.skip(
            f"this clone lacks {COMMIT}, the commit of {VERSION}: git fetch --unshallow"
        )
    pages = git("grep", "-h", "^:::", COMMIT, "--", "docs/api")
    old = griffe.load_git("dlp", ref=COMMIT, repo=ROOT, search_paths=["src"])
    changes = breaking_changes(old, load_source(), pages)
    announced = breaking_section(CHANGELOG, VERSION)
    silent = []
    for path, sentence in changes.items():
        name = path.rpartition(".")[2]
        if not re.search(rf"\b{name}\b", announced):
            silent.append(sentence)
    assert not silent, "under Breaking in CHANGELOG.md is no line of:\n" + "\n".join(
        silent
    )


@pytest.mark.parametrize(
    ("code", "broken"),
    [
        ("def scale(x, by=1, to=None): ...\nclass Head:\n    def loss(self): ...", []),
        (
            "def scale(x, factor=1): ...\nclass Head:\n    def loss(self): ...",
            ["dlp.heads.scale"],
        ),
        ("def scale(x, by=1): ...\nclass Head: ...", ["dlp.heads.Head.loss"]),
        ("def scale(x, by=1): ...", ["dlp.heads.Head"]),
    ],
)
def test_what_callers_of_listed_modules_used_breaks(code, broken):
    before = "def scale(x, by=1): ...\ndef _round(x): ...\nclass Head:\n    def loss(self): ..."
    changes = breaking_changes(package(before), package(code), "::: dlp.heads")
    assert list(changes) == broken


def test_breaking_lines_are_those_of_later_versions():
    text = "\n## [1.3.0]\n### Breaking\n- new\n### Added\n- b\n## [1.2.0]\n### Breaking\n- old\n"
    assert breaking_section(text, "1.2.0") == "- new\n"
