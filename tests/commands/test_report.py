import json
import re

from dlp.cli import main


def test_a_page_shows_scores_figures_data_and_the_config_of_a_run(fitted):
    page = main(["report", "points"]).read_text(encoding="utf-8")
    assert (
        page.count("data:image/png;base64,") == 4
    )  # curves, confusion, reliability, roc
    assert "<td>this model</td>" in page
    assert re.search(
        r"<p>finds \d+ of 12 “yes” at the threshold 0.5 and is right", page
    )
    assert ">majority class<" in page
    assert re.search(r">train \d+, val \d+, test 24<", page)
    assert ">number 2, category 1<" in page
    assert "TableDataModule" in page
    assert not re.search(r'(src|href)="http', page)  # nothing is fetched


def test_names_and_texts_of_people_are_escaped(fitted):
    run = fitted / "runs/points/version_0"
    (run / "worst.csv").write_text(
        "<b>,input\n0,<b>alert(1)</b>" + 500 * "x", encoding="utf-8"
    )
    test = {
        "summary": 'finds 1 of 2 “<b>"x"”',
        "classes": [{"name": '<b>"x"', "recall": 0.5}],
    }
    results = {"data": {"target": "<b>"}, "test": test}
    (run / "results.json").write_text(json.dumps(results), encoding="utf-8")
    page = main(["report", "points", "--output", "page.html"]).read_text("utf-8")
    assert "<b>" not in page
    assert f">&lt;b&gt;alert(1)&lt;/b&gt;{485 * 'x'} …<" in page
    assert page.count("&lt;b&gt;") == 7


def test_a_test_on_foreign_data_has_its_scores_alone(fitted):
    path = fitted / "runs/points/version_0/results.json"
    test = {
        "test_loss": 0.1234,
        "rows": None,
        "checkpoint": None,
        "classes": [],
        "baselines": {},
    }
    path.write_text(json.dumps({"test": test}), encoding="utf-8")
    page = main(["report", "points"]).read_text(encoding="utf-8")
    assert "<th>loss</th>" in page
    assert "<td>0.123</td>" in page


def write_results(folder, **results):
    path = folder / "runs/points/version_0/results.json"
    path.write_text(json.dumps(results), encoding="utf-8")


def test_scores_at_a_half_stand_next_to_those_at_the_threshold(fitted):
    test = {"test_acc": 0.25, "threshold": 0.1, "at_0.5": {"acc": 0.75}}
    write_results(fitted, test=test, threshold=0.1)
    page = main(["report", "points"]).read_text(encoding="utf-8")
    assert "Classes are predicted at the threshold 0.1." in page
    rows = re.findall(r"<td>(this model.*)</td>\s*<td>(.*)</td>", page)
    assert rows == [("this model", "0.250"), ("this model, threshold 0.5", "0.750")]


def test_a_threshold_that_was_set_after_the_test_is_named(fitted):
    write_results(fitted, test={"test_acc": 0.75, "threshold": 0.5}, threshold=0.1)
    page = main(["report", "points"]).read_text(encoding="utf-8")
    assert (
        "The test used the threshold 0.5. Since then dlp calibrate has set it to 0.1"
        in page
    )


def test_true_and_predicted_values_have_one_format(fitted):
    run = fitted / "runs/points/version_0"
    (run / "worst.csv").write_text(
        "index,true,predicted\n7,74360,6201.4\n", encoding="utf-8"
    )
    page = main(["report", "points"]).read_text(encoding="utf-8")
    assert "<td>74,360</td>" in page
    assert "<td>6,201</td>" in page


def test_a_run_without_a_test_shows_no_scores(fitted):
    (fitted / "runs/points/version_0/results.json").write_text("{}", encoding="utf-8")
    page = main(["report", "points"]).read_text(encoding="utf-8")
    assert "<h2>Scores of the test part</h2></section>" in page


def test_a_table_without_rows_is_left_out(fitted):
    (fitted / "runs/points/version_0/worst.csv").write_text(
        "index,true\n", encoding="utf-8"
    )
    page = main(["report", "points"]).read_text(encoding="utf-8")
    assert "<h2>Worst mistakes</h2></section>" in page


def test_a_page_of_folds_has_their_table(validated):
    page = main(["report", "points"]).read_text(encoding="utf-8")
    assert ">val acc<" in page
