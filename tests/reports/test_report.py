"""``dlp report`` in process, on tiny runs of every kind, and in a real browser."""

import base64
import html
import io
import json
import re
import shutil
import subprocess
from contextlib import redirect_stdout
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from image_files import write_classes
from matplotlib.figure import Figure
from PIL import Image

from dlp.cli import main
from dlp.reports import page as report_page
from dlp.reports.page import (
    Code,
    Label,
    Page,
    Paragraph,
    Section,
    Tile,
    drawing,
    inline_image,
    number,
    render,
)

EVIL = "<script>alert('x')</script>"
TABLE = """# Points of two <b>sides</b>
data:
  class_path: TableDataModule
  init_args: {path: table.csv, target: TARGET, test_size: 0.3, val_size: 0.2}
model:
  class_path: DenseModule
  init_args: {head: HEAD, hidden: [8], optimizer: {init_args: {lr: 0.02}}}
trainer: {max_epochs: 3, accelerator: cpu, enable_progress_bar: false}
test_after_fit: best
"""
TEXTS = """# Reviews
data:
  class_path: TextDataModule
  init_args:
    {path: texts.csv, text_column: text, label_column: label, test_size: 0.3, num_words: 50}
model: {class_path: DenseModule, init_args: {head: sigmoid, hidden: [4]}}
trainer: {max_epochs: 2, accelerator: cpu, enable_progress_bar: false}
test_after_fit: best
"""
IMAGES = """
data:
  class_path: ImageFolderDataModule
  init_args: {path: pets, image_size: [16, 20], val_size: 6, test_size: 12, batch_size: 8}
model:
  class_path: ConvNetModule
  init_args: {head: softmax, channels: [4, 4], dense: [8]}
trainer: {max_epochs: 2, accelerator: cpu, enable_progress_bar: false}
test_after_fit: best
"""
VOID = {"meta", "img", "br", "link", "input", "hr"}


class Outline(HTMLParser):
    """Checks that tags close in order, and keeps what was seen."""

    def __init__(self, text):
        super().__init__()
        self.open, self.ids, self.images, self.sections = [], [], [], {}
        self.loads, self.text, self.tags = [], "", set()
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self.tags.add(tag)
        self.ids += [given["id"]] if "id" in given else []
        self.images += [given] if tag == "img" else []
        self.loads += [given[name] for name in ("src", "href", "srcset") if name in given]
        if tag == "section":
            self.sections[given["id"]] = ""
        assert not [name for name in given if name.startswith("on")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_startendtag(self, tag, attributes):  # <path/> in SVG
        self.handle_starttag(tag, attributes)
        if tag not in VOID:
            self.open.pop()

    def handle_data(self, data):
        if "style" not in self.open:
            self.text += data
        if "section" in self.open:
            self.sections[list(self.sections)[-1]] += data


def checked(path):
    """Return the outline of a page that is whole, loads nothing and is not too large."""
    text = path.read_text(encoding="utf-8")
    page = Outline(text)
    assert len(text.encode()) < 400_000
    assert "http:" not in text
    assert "https:" not in text
    assert "@import" not in text
    assert "url(" not in re.sub(r"url\(#[^)]*\)", "", text)
    assert all(load.startswith(("#", "data:image/")) for load in page.loads)
    assert "script" not in page.tags
    assert len(set(page.ids)) == len(page.ids)
    assert {load[1:] for load in page.loads if load.startswith("#")} <= set(page.ids)
    assert all(image["alt"] for image in page.images)
    return page


def report(*options):
    main(["report", *map(str, options)])


def fails(capsys, *options):
    capsys.readouterr()
    with pytest.raises(SystemExit) as exit_:
        report(*options)
    assert exit_.value.code == 2
    message = capsys.readouterr().err.strip().splitlines()[-1]
    assert message.startswith("dlp: ")
    return message


@pytest.fixture
def fit(one_pixel):
    """Return a function that makes a run: no report shows the figures that one has saved."""

    def run(*options):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Figure, "savefig", one_pixel)
            main(["fit", "--config", *options])

    return run


@pytest.fixture(scope="module")
def folder(tmp_path_factory, one_pixel):
    """Make a folder with data, recipes and a run of each kind."""
    folder = tmp_path_factory.mktemp("reports")
    rng = np.random.default_rng(0)
    table = pd.DataFrame(rng.normal(size=(80, 2)), columns=["east", "north <i>"])
    table["side"] = np.where(table.east > 0, "right", EVIL)
    table["height"] = 3 * table.east + 1
    table.to_csv(folder / "table.csv", index=False)
    texts = [f"good {EVIL} {n} <b>times</b>" if n % 2 else f"bad {n} times" for n in range(60)]
    labels = ["pos" if n % 2 else "neg" for n in range(60)]
    pd.DataFrame({"text": texts, "label": labels}).to_csv(folder / "texts.csv", index=False)
    write_classes(folder / "pets", {"<i>cats": 20, "dogs": 20}, size=(16, 20))
    (folder / "sides.yaml").write_text(TABLE.replace("TARGET", "side").replace("HEAD", "sigmoid"))
    heights = TABLE.replace("TARGET", "height").replace("HEAD", "regression")
    (folder / "heights.yaml").write_text(heights.replace("0.02", "0.1"))
    (folder / "texts.yaml").write_text(TEXTS)
    (folder / "pets.yaml").write_text(IMAGES)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("DLP_CACHE_DIR", str(folder / "cache"))
        patch.setenv("TQDM_DISABLE", "1")
        patch.setattr(Figure, "savefig", one_pixel)
        for name in ("sides", "heights", "texts", "pets"):
            main(["fit", "--config", f"{name}.yaml"])
        crossval = ["crossval", "--config", "heights.yaml", "--num_folds", "3", "--run_dir"]
        main([*crossval, "runs/folds/version_0", "--repeats", "2", "--refit"])
    return folder


@pytest.fixture(autouse=True)
def here(folder, monkeypatch):
    monkeypatch.chdir(folder)
    monkeypatch.setenv("DLP_CACHE_DIR", str(folder / "cache"))
    return folder


@pytest.fixture(scope="module")
def written(folder):
    """Return a function that gives the page of a run, reported once, and what that printed."""
    said = {}

    def page(name):
        if name not in said:
            with redirect_stdout(io.StringIO()) as output:
                report(name)
            said[name] = output.getvalue()
        return folder / "runs" / name.removesuffix(".yaml") / "version_0/report.html", said[name]

    return page


def results(run):
    return json.loads((run / "results.json").read_text())


# Pages ------------------------------------------------------------------------------------------


def test_classes_of_a_table(here, written):
    path, said = written("sides.yaml")
    run = here / "runs/sides/version_0"
    assert "the newest run of sides is runs/sides/version_0" in said
    assert "wrote runs/sides/version_0/report.html (" in said
    page = checked(path)
    assert list(page.sections) == [
        *("data", "reading", "curves", "baselines", "mistakes"),
        *("samples", "heatmaps", "model", "config"),
    ]
    assert "Points of two <b>sides</b>" in page.text  # the recipe's first comment, as text
    tested = results(run)["test"]
    assert f"Test accuracy{number(tested['test_acc'])}" in page.text.replace("\n", "")
    guessed = max(numbers["acc"] for numbers in tested["baseline"].values() if "acc" in numbers)
    beside = page.sections["baselines"]
    assert "logistic regression" in beside
    assert "gradient boosting" in beside
    assert "On the test part" in beside
    base = re.search(r"baseline ([\d.]+) \((logistic regression|gradient boosting)\)", page.text)
    assert float(base[1]) > guessed  # models that learn are what is to be beaten
    assert "baselines" not in results(run)  # a report changes nothing
    assert "val_loss was best at" in page.text
    assert "positive class:" in page.sections["reading"]
    data = page.sections["data"]
    assert "40 training, 16 validation, 24 test" in data
    assert "val_size 0.2, test_size 0.3" in data
    assert EVIL in data
    assert "2 to prepare" not in data
    assert f"torch {torch.__version__}" in data
    assert EVIL in page.sections["samples"]
    assert "north <i>" in page.sections["samples"]
    assert "precision" in page.sections["mistakes"]
    assert page.sections["heatmaps"].strip().endswith("Left out: the inputs are no images.")
    assert "network.layers.dense1" in page.sections["model"]
    assert "class_path: dlp.datamodules" in page.sections["config"]


def test_values_of_a_table(here):
    report("runs/heights/version_0")
    page = checked(here / "runs/heights/version_0/report.html")
    assert "RMSE" in page.sections["mistakes"]
    assert "median" in page.sections["data"]
    assert "Test mean absolute error" in page.text
    (rows,) = re.findall(r"drawn at random, predicted by (\w+)\.ckpt", page.sections["samples"])
    assert rows == "best"


def test_labels_of_a_table(here, fit):
    labels = pd.DataFrame(np.random.default_rng(0).normal(size=(60, 2)), columns=["a", "b"])
    labels["old"], labels["red"] = (labels.a > 0).astype(int), (labels.b > 0).astype(int)
    labels.to_csv("labels.csv", index=False)
    given = TABLE.replace("table.csv", "labels.csv").replace("HEAD", "multilabel")
    given = given.replace("test_after_fit: best", "")
    (here / "labels.yaml").write_text(given.replace("TARGET", "[old, red]"))
    fit("labels.yaml")
    report("labels")
    page = checked(here / "runs/labels/version_0/report.html")
    assert "Share of each of 2 labels" in page.sections["data"]
    assert "not evaluated on the test part yet" in page.sections["mistakes"]
    assert re.search(r"\d(none|old, red|old|red)", page.sections["samples"])


OWN = """
import lightning, torch
class Own(lightning.LightningModule):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(3, 2)
    def forward(self, x):
        return self.layer(x)
    def training_step(self, batch, index):
        loss = torch.nn.functional.cross_entropy(self(batch[0]), batch[1])
        self.log("train_loss", loss, on_epoch=True, on_step=False)
        return loss
    def validation_step(self, batch, index):
        pass
    def test_step(self, batch, index):
        self.log("test_loss", torch.nn.functional.cross_entropy(self(batch[0]), batch[1]))
    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.1)
"""


def test_a_module_of_ones_own(here, fit):
    (here / "own_reported.py").write_text(OWN)
    recipe = TABLE.replace("TARGET", "side").replace("test_after_fit: best", "test_after_fit: last")
    before, _, after = recipe.partition("model:")
    (here / "own.yaml").write_text(
        before + "model: own_reported.Own\ntrainer:" + after.split("trainer:")[1]
    )
    fit("own.yaml", "--data.val_size", "null")
    report("own")
    page = checked(here / "runs/own/version_0/report.html")
    assert "Left out: Own has no predict_step" in page.sections["samples"]
    assert "the evaluation left no mistakes" in page.sections["mistakes"]
    assert "Linear" in page.sections["model"]
    assert "without validation" in page.text


def test_texts(written):
    page = checked(written("texts")[0])
    assert "times" in page.sections["samples"]
    assert re.search(r"\d+\.\d% sure, row \d+", page.sections["samples"])
    assert page.sections["heatmaps"].strip().endswith("the inputs are no images.")


def test_images_and_their_heat_maps(here, written):
    page = checked(written("pets")[0])
    assert "pets · version_0" in page.text  # the recipe has no first comment: its name is the title
    assert "<i>cats" in page.sections["data"]
    assert "Left the image" in page.sections["heatmaps"]
    heated = [image for image in page.images if "heat map" in image["alt"]]
    plain = [image for image in page.images if "heat map" not in image["alt"]]
    wrong = len(json.loads((here / "runs/pets/version_0/mistakes.json").read_text())["worst"])
    assert len(plain) == wrong + 8  # the samples
    assert len(heated) == min(4, wrong) + min(4, 12 - wrong)
    assert all(image["src"].startswith("data:image/png") for image in page.images)


def test_folds(here, written):
    run = here / "runs/folds/version_0"
    page = checked(written("folds")[0])
    record = json.loads((run / "crossval.json").read_text())
    assert list(page.sections) == ["folds", "curves", "refit", "data", "config"]
    folds = page.sections["folds"]
    assert [f"repeat {r}, fold {f}" in folds for r in (0, 1) for f in (0, 1, 2)] == [True] * 6
    for words in ("mean", "std", "standard_error"):
        assert number(record[words]["val_mae"]) in folds
    assert number(record["baseline"]["median"]["mae"]) in folds
    assert "trained on everything for so many epochs and tested once" in page.text
    assert number(record["refit"]["test_mae"]) in page.sections["refit"]
    assert "dlp crossval --config" in page.sections["config"]


# What is not there ------------------------------------------------------------------------------


@pytest.fixture
def copied(here, tmp_path, undrawn_figures):
    """Return a function that copies a run elsewhere, without some of its files."""

    def copy(name, *without):
        run = tmp_path / "runs" / name / "version_0"
        shutil.copytree(here / "runs" / name / "version_0", run)
        (run / "report.html").unlink(missing_ok=True)
        for path in without:
            (run / path).unlink()
        return run

    return copy


def test_a_run_that_was_not_tested_names_the_command(copied):
    run = copied("sides", "mistakes.json")
    kept = results(run)
    del kept["test"]
    (run / "results.json").write_text(json.dumps(kept))
    report(run)
    page = checked(run / "report.html")
    command = f"dlp test --ckpt_path {run}/checkpoints/best.ckpt"
    assert f"Not evaluated on the test part yet; this does it: {command}" in page.text
    assert "Left out: it was not evaluated on the test part yet" in page.sections["mistakes"]
    assert "Test accuracy" not in page.text
    assert "row" in page.sections["samples"]


def test_a_test_of_old_left_no_mistakes(copied):
    run = copied("sides", "mistakes.json")
    report(run)
    assert "the evaluation left no mistakes" in checked(run / "report.html").sections["mistakes"]


def test_rows_are_not_shown_beside_mistakes_made_on_others(copied):
    run = copied("heights")
    file = run / "mistakes.json"
    record = json.loads(file.read_text())
    for change in ({"rows": record["rows"] + 1}, {"worst": [{**record["worst"][0], "true": 99.0}]}):
        file.write_text(json.dumps({**record, **change}))
        report(run)
        shown = checked(run / "report.html").sections["mistakes"]
        assert "no longer the one that was tested" in shown
    file.write_text("{}")
    report(run)
    assert "cannot be read" in checked(run / "report.html").sections["mistakes"]


def test_without_checkpoints_the_files_are_shown(copied, tmp_path, capsys):
    run = copied("pets", "checkpoints/best.ckpt", "checkpoints/last.ckpt")
    report(run, "--output", tmp_path / "here.html")
    page = checked(tmp_path / "here.html")
    for name in ("samples", "heatmaps", "model"):
        assert f"Left out: {run} has no checkpoint." in page.sections[name]
    assert "The rows themselves are left out" in page.sections["mistakes"]
    assert "config.yaml" in page.sections["config"]
    message = fails(capsys, run, "--data.path", "x")
    assert "without a checkpoint --output is the one option" in message


def test_where_the_data_are_gone_the_rest_is_shown(copied, monkeypatch, tmp_path, capsys):
    run = copied("texts")
    monkeypatch.chdir(tmp_path)
    report(run)
    reason = "there is no file texts.csv"
    assert f"without data and model: {reason}" in capsys.readouterr().out
    page = checked(run / "report.html")
    for name in ("samples", "heatmaps", "model"):
        assert f"Left out: {reason}" in page.sections[name]
    assert f"Rows and classes are left out: {reason}" in page.sections["data"]
    assert "precision" in page.sections["mistakes"]


def test_a_model_without_maps_has_no_heat_maps(here, fit, undrawn_figures):
    dense = ["--model.class_path", "DenseModule", "--model.init_args.head", "softmax"]
    fit("pets.yaml", *dense, "--run_dir", "runs/flat/version_0")
    report("flat")
    page = checked(here / "runs/flat/version_0/report.html")
    assert "Left out: the model has no maps" in page.sections["heatmaps"]


def test_another_checkpoint_of_the_run(here, tmp_path, undrawn_figures):
    report("runs/sides/version_0/checkpoints/last.ckpt", "--output", tmp_path / "last.html")
    assert "predicted by last.ckpt" in checked(tmp_path / "last.html").sections["samples"]


def test_a_trial_writes_nothing(copied):
    run = copied("sides")
    report(run, "--trainer.fast_dev_run", "true")
    assert not (run / "report.html").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "name the run first"),
        (["--output", "x.html"], "name the run first"),
        (["nowhere/run"], "there is no config file nowhere/run"),
        (["housng"], "Did you mean 'housing'?"),
        (["housing"], "train one by dlp fit --config housing"),
        (["nothing.ckpt"], "there is no checkpoint nothing.ckpt"),
        (["cache"], "unknown config 'cache'"),
        (["runs/sides"], "holds neither history.json nor crossval.json"),
        (["sides", "--outptu", "x"], "Did you mean --output?"),
        (["sides", "--output", "sides.yaml/x.html"], "cannot write"),
        (["folds", "--threads", "1"], "--output is the one option"),
    ],
)
def test_mistakes_are_said_in_one_sentence(options, message, capsys):
    assert message in fails(capsys, *options)


def test_a_config_of_the_same_file_name_has_its_own_runs(undrawn_figures, tmp_path, capsys):
    known = yaml.safe_load(Path("sides.yaml").read_text())
    Path("other").mkdir()
    Path("other/sides.yaml").write_text(yaml.safe_dump({**known, "smoothing": 0.25}))
    assert "no run of 'sides' below ./runs has recorded" in fails(capsys, "other/sides.yaml")
    report("sides.yaml", "--output", tmp_path / "page.html")  # other tests look at the run's page
    assert "the newest run of sides is runs/sides/version_0" in capsys.readouterr().out


def test_help(capsys):
    report("--help")
    text = capsys.readouterr().out
    assert "usage: dlp report RUN" in text
    assert "--output FILE" in text


# The page itself --------------------------------------------------------------------------------


def page_of(text):
    sections = [Section("one", text, [Paragraph(text, text), Code(text)]), Section("two", "Two")]
    return Page(text, text, text, f"{text} --some.option 3", [Tile(text, text, text)], (), sections)


def test_every_text_is_escaped():
    given = f"{EVIL}\"' & <img src=x onerror=y>"
    outline = Outline(render(page_of(given)))
    assert outline.text.count(given) == 14
    assert not {"script", "img"} & outline.tags
    assert "--some.option" in outline.text


def test_a_figure_is_text_in_the_colours_of_the_page():
    figure = Figure()
    axes = figure.subplots()
    axes.plot([0, 1], color="tab:blue", label=EVIL)
    axes.plot([1, 0], color="black")
    axes.text(0.5, 0.5, "inside")
    axes.legend()
    axes.set_xlabel("épocas")
    made = drawing(figure, f'alt "{EVIL}"')
    text = str(made.svg)
    assert Outline(f"<p>{text}</p>").text.count(EVIL) == 1
    assert "script>" not in text.replace("&lt;script&gt;", "").replace("&lt;/script&gt;", "")
    assert "épocas" in text
    assert "currentColor" in text
    assert "var(--blue)" in text
    assert "#ffffff" not in text
    (inside,) = re.findall(r"<text[^>]*>inside", text)
    assert "currentColor" not in inside  # it may stand on a colour of the figure's own
    assert str(drawing(figure, "").svg) != text
    other = Figure()
    other.subplots().plot([3, 1, 2])
    ids = [set(re.findall(r' id="([^"]+)"', str(one))) for one in (text, drawing(other, "").svg)]
    assert ids[0]
    assert not ids[0] & ids[1]


def test_small_images_keep_every_pixel_and_large_ones_are_reduced():
    image = torch.rand(3, 20, 30, generator=torch.Generator().manual_seed(0))
    small = inline_image(image, "a", Label("b"))
    assert small.exact
    pixels = np.asarray(decoded(small)).transpose(2, 0, 1)
    assert np.array_equal(pixels, image.mul(255).round().byte().numpy())
    large = inline_image(torch.rand(1, 700, 500), "a", Label("b"))
    assert decoded(large).size == (160, 224)
    assert decoded(inline_image(torch.zeros(3, 300, 600), "a", Label("b"))).size == (448, 224)


def decoded(made):
    return Image.open(io.BytesIO(base64.b64decode(made.uri.partition(",")[2])))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.5, "0.5"),
        (0.09987, "0.0999"),
        (0.0, "0"),
        (0.00001234, "1.234e-05"),
        (2.34567, "2.346"),
        (-0.25, "-0.25"),
        (123456.7, "123,457"),
        (float("nan"), "-"),
        (None, "-"),
    ],
)
def test_numbers(value, text):
    assert number(value) == text


def test_the_templates_come_with_the_package():
    folder = report_page.Path(report_page.__file__).parent / "templates"
    assert {path.name for path in folder.iterdir()} == {"report.html", "report.css"}


# In a browser -----------------------------------------------------------------------------------

MEASURE = """<script>
addEventListener("load", () => {
  const part = (c) => { c /= 255; return c <= .03928 ? c / 12.92 : ((c + .055) / 1.055) ** 2.4 };
  const rgb = (text) => text.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => .2126 * part(r) + .7152 * part(g) + .0722 * part(b);
  const ground = (node) => {
    for (; node; node = node.parentElement) {
      const colour = rgb(getComputedStyle(node).backgroundColor);
      if (colour.length === 3 || colour[3] === 1) return colour;
    }
    return [255, 255, 255];
  };
  let worst = 99, where = "";
  document.querySelectorAll("details").forEach((node) => node.open = true);
  const texts = "h1,h2,h3,p,dt,dd,th,td,a,caption,figcaption,summary,blockquote,pre,code,span";
  for (const node of document.querySelectorAll(texts)) {
    if (!node.textContent.trim()) continue;
    const pair = [light(rgb(getComputedStyle(node).color)), light(ground(node))].sort();
    const contrast = (Math.max(...pair) + .05) / (Math.min(...pair) + .05);
    if (contrast < worst) { worst = contrast; where = node.className + " " + node.tagName; }
  }
  const images = [...document.images];
  parent.document.documentElement.dataset.NAME = JSON.stringify({
    width: innerWidth, dark: matchMedia("(prefers-color-scheme: dark)").matches,
    overflow: document.documentElement.scrollWidth - innerWidth,
    images: images.length, decoded: images.filter((image) => image.naturalWidth > 0).length,
    contrast: worst, where,
    wide: [...document.querySelectorAll("section,header,footer")]
      .filter((node) => node.getBoundingClientRect().right > innerWidth + 1).length,
    drawings: [...document.querySelectorAll("svg")].map((node) => node.getBBox().width)
  });
});
</script></body>"""


@pytest.fixture(scope="module")
def browse():
    """Return a function that shows a page in Chromium."""
    names = ("chromium", "chromium-browser", "google-chrome")
    found = next((path for name in names if (path := shutil.which(name))), None)
    if found is None or subprocess.run([found, "--version"], capture_output=True).returncode:
        pytest.skip("no Chromium is installed")

    def run(page, profile, width, dark, *what):
        flags = (
            *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
            *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
            *("--hide-scrollbars", "--disable-dev-shm-usage"),
        )
        scheme = f"--blink-settings=preferredColorScheme={0 if dark else 1}"
        place = [f"--user-data-dir={profile}", f"--window-size={width},900", scheme]
        command = [found, *flags, *place, *what, page.as_uri()]
        return subprocess.run(command, capture_output=True, text=True, timeout=180).stdout

    return run


BROWSED = {"pets": "pets", "sides": "sides.yaml", "folds": "folds"}


@pytest.fixture(scope="module")
def measured(browse, written, tmp_path_factory):
    """Return a function that gives what the browser measures of a page in a narrow frame.

    One window shows the frames of all pages: a window itself is never as narrow as a frame may be.
    """
    found = {}

    def measure(dark):
        folder, frames = tmp_path_factory.mktemp("measured"), []
        for name, given in BROWSED.items():
            page = written(given)[0].read_text(encoding="utf-8")
            text = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", page)
            inside = html.escape(text.replace("</body>", MEASURE.replace("NAME", name)))
            style = "width:360px;height:900px;border:0"
            frames.append(f'<iframe srcdoc="{inside}" style="{style}"></iframe>')
        head = '<meta charset="utf-8"><style>:root{color-scheme:light dark}</style>'
        (folder / "frames.html").write_text(head + "".join(frames), encoding="utf-8")
        shown = browse(folder / "frames.html", folder / "profile", 1400, dark, "--dump-dom")
        for name in BROWSED:
            (values,) = re.findall(f'data-{name}="([^"]*)"', shown.partition("<head>")[0])
            found[name, dark] = json.loads(html.unescape(values))

    def of(name, dark):
        if (name, dark) not in found:
            measure(dark)
        return found[name, dark]

    return of


@pytest.mark.parametrize("name", BROWSED)
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_a_page_in_a_browser(browse, written, measured, tmp_path, name, dark):
    output = written(BROWSED[name])[0]
    text, measured = output.read_text(encoding="utf-8"), measured(name, dark)
    assert (measured["width"], measured["dark"]) == (360, dark)
    assert measured["overflow"] <= 0
    assert measured["wide"] == 0
    assert measured["decoded"] == measured["images"] == text.count("<img ")
    assert measured["contrast"] >= 4.5, measured["where"]
    assert min(measured["drawings"]) > 0
    shot = tmp_path / "screenshot.png"
    browse(output, tmp_path / "profile", 1400, dark, f"--screenshot={shot}")
    with Image.open(shot) as image:
        assert image.size == (1400, 900)
        ground = image.convert("L").getpixel((5, 5))
    assert ground < 40 if dark else ground > 220
