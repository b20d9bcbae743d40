import re

from dlp.cli import main


def test_a_page_shows_numbers_figures_and_the_config_of_a_run(fitted):
    page = main(["report", "points"]).read_text(encoding="utf-8")
    assert page.count("data:image/png;base64,") == 3  # curves, confusion, reliability
    headings = re.findall("<h2>(.*?)</h2>", page)
    assert headings[:3] == ["Baselines on the test part", "Curves", "Confusion"]
    assert re.findall("<span>(test .*?)</span>", page) == ["test loss", "test acc"]
    assert ">majority class<" in page
    assert {"The worst mistakes", "Every epoch", "Training", "Config"} <= {*headings}
    assert "TableDataModule" in page
    assert not re.search(r'(src|href)="http', page)  # nothing is fetched


def test_names_and_texts_of_people_are_escaped(fitted):
    worst = fitted / "runs/points/version_0/worst.csv"
    worst.write_text("index,input\n0,<script>alert(1)</script>\n", encoding="utf-8")
    page = main(["report", str(worst.parent), "--output", "page.html"]).read_text("utf-8")
    assert "<script>" not in page
    assert "&lt;script&gt;" in page


def test_a_page_of_folds_has_their_table(validated):
    page = main(["report", "points"]).read_text(encoding="utf-8")
    assert "<h2>Folds</h2>" in page
    assert ">val acc<" in page
