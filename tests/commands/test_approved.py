"""What users see: help, printed lines, files of a run, pages. `pytest --approve` renews the copies.

Numbers are replaced, so a change of a model changes none of them.
"""

import contextlib
import io
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from dlp.cli import main
from dlp.commands import export, serve
from dlp.inference import Predictor
from helpers import options, run_files
from helpers.approval import html_text, script_texts, without_numbers
from helpers.sets import write_points

RUN = Path("runs/points/version_0")
#: Commands of a user with a new table, in their order.
JOURNEY = [
    "init points.csv --target label --output mine.yaml",
    "data --config points.yaml",
    "fit --config points.yaml --test_after_fit best --baselines true",
    "validate --config points.yaml",
    "predict --config points.yaml --data.predict_path new.csv",
    "calibrate points",
    "report points",
    "crossval --config points.yaml --num_folds 3 --keep true",
    "suspects runs/points/version_1 --count 1",
    "compare points",
]


def printed(words):
    """Return what a command prints."""
    stream = io.StringIO()
    with contextlib.redirect_stdout(stream):
        main(words)
    return stream.getvalue()


def go():
    write_points(Path.cwd())
    Path("new.csv").write_text("x,y,kind\n3,3,red\n-3,-3,mauve\n", encoding="utf-8")
    lines = []
    for command in JOURNEY:
        lines += [f"$ dlp {command}", without_numbers(printed(command.split()))]
    Path("printed.txt").write_text("\n".join(lines), encoding="utf-8")


@pytest.fixture(scope="module")
def journey(made):
    """Return the folder in which the commands were run, with what they printed."""
    return made(go)


def test_printed_lines(journey, approved):
    approved("printed.txt", (journey / "printed.txt").read_text(encoding="utf-8"))


def test_files_and_keys_of_runs(journey, approved):
    approved("run_files.txt", run_files.describe(journey / "runs"))


def test_report(journey, approved):
    page = (journey / RUN / "report.html").read_text(encoding="utf-8")
    text, _, _ = html_text(page).partition("seed_everything")  # of the config
    approved("report.txt", without_numbers(text))


def test_readme_of_an_export(copied, monkeypatch, approved):
    def write_empty(trained, data, source, path):
        path.touch()
        return "1e-7 on 24 rows of the test part"

    copied(go)
    monkeypatch.setattr(export, "_write_model", write_empty)  # it takes ten seconds
    folder = main(["export", str(RUN)])
    approved(
        "export_readme.txt", without_numbers((folder / "README.md").read_text("utf-8"))
    )


def test_served_page(journey, approved):
    client = TestClient(serve.app(Predictor.load(journey / RUN)))
    page = client.get("/").text
    schema = run_files.keys(client.get("/schema").json())
    parts = [html_text(page), "", *script_texts(page), "", "/schema", *schema]
    approved("served_page.txt", "\n".join(parts))


def test_help(approved, capsys):
    main(["--help"])
    approved("help.txt", capsys.readouterr().out)


def test_options_of_the_commands(approved):
    approved("options.txt", options.describe())
