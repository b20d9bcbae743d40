import json
import re

import pytest

from dlp.cli import main
from dlp.commands.report import sentence


def test_a_page_shows_scores_figures_data_and_the_config_of_a_run(fitted):
    page = main(["report", "points"]).read_text(encoding="utf-8")
    assert page.count("data:image/png;base64,") == 4  # curves, confusion, reliability, roc
    assert '<td class="text"><div>this model</div></td>' in page
    assert ">majority class<" in page
    assert re.search(r">train \d+, val \d+, test 24<", page)
    assert ">number 2, category 1<" in page
    assert "TableDataModule" in page
    assert not re.search(r'(src|href)="http', page)  # nothing is fetched


def test_names_and_texts_of_people_are_escaped(fitted):
    worst = fitted / "runs/points/version_0/worst.csv"
    worst.write_text("index,input\n0,<b>alert(1)</b>\n", encoding="utf-8")
    page = main(["report", str(worst.parent), "--output", "page.html"]).read_text("utf-8")
    assert "<b>" not in page
    assert "&lt;b&gt;" in page


def test_a_test_on_foreign_data_has_its_scores_alone(fitted):
    path = fitted / "runs/points/version_0/results.json"
    test = {"test_loss": 0.1234, "rows": None, "checkpoint": None, "classes": [], "baselines": {}}
    path.write_text(json.dumps({"test": test}), encoding="utf-8")
    page = main(["report", "points"]).read_text(encoding="utf-8")
    assert "<div>test loss</div></th></tr>" in page
    assert "<div>0.123</div>" in page


def test_a_run_without_a_test_shows_no_scores(fitted):
    (fitted / "runs/points/version_0/results.json").write_text("{}", encoding="utf-8")
    page = main(["report", "points"]).read_text(encoding="utf-8")
    assert "<h2>Scores of the test part</h2>\n<p></p></section>" in page


def test_a_table_without_rows_is_left_out(fitted):
    (fitted / "runs/points/version_0/worst.csv").write_text("index,true\n", encoding="utf-8")
    page = main(["report", "points"]).read_text(encoding="utf-8")
    assert "<h2>Worst mistakes</h2></section>" in page


def test_a_page_of_folds_has_their_table(validated):
    page = main(["report", "points"]).read_text(encoding="utf-8")
    assert ">val acc<" in page


def class_scores(name, support, recall, precision):
    return {"name": name, "support": support, "recall": recall, "precision": precision}


STAYS = class_scores("stays", 178, 171 / 178, 0.855)
LEAVES = class_scores("leaves", 62, 33 / 62, 0.825)
OTHER = class_scores("other", 60, 0.5, 0.5)
TARGETS = [{"name": "price", "mae": 18.73}, {"name": "age", "mae": 2.0}]


@pytest.mark.parametrize(
    ("report", "baselines", "expected"),
    [
        (
            {"task": "classification", "rows": 240, "wrong": 36, "classes": [STAYS, LEAVES]},
            {},
            "Finds 33 of 62 “leaves”, and is right in 82.5% of those that it names. 85.0% of 240 "
            "rows are right; always saying “stays” is right in 74.2%.",
        ),
        (
            {"task": "classification", "rows": 300, "wrong": 66, "classes": [STAYS, LEAVES, OTHER]},
            {},
            "78.0% of 300 rows are right; always saying “stays” is right in 59.3%.",
        ),
        (
            {"task": "multilabel", "rows": 200, "wrong": 50, "classes": [LEAVES, OTHER]},
            {},
            "Finds 63 of 122 labels; 75.0% of 200 rows are all right.",
        ),
        (
            {"task": "regression", "rows": 3000, "targets": TARGETS[:1]},
            {"median": {"mae": 24.06}},
            "Misses price by 18.7 on average; always guessing the median misses by 24.1 "
            "(3,000 rows).",
        ),
        (
            {"task": "regression", "rows": 9, "targets": TARGETS},
            {"median": {"mae": 24.06}},
            "Misses price by 18.7, age by 2 on average (9 rows).",
        ),
    ],
)
def test_a_report_begins_with_one_sentence(report, baselines, expected):
    assert sentence(report, baselines) == expected
