import json
from pathlib import Path

import pytest
import torch
import yaml

from dlp import load
from dlp.cli import main
from dlp.modules.pretrained import Backbone
from helpers.sets import image_folder, points_table


def write_csv(header, rows):
    Path("t.csv").write_text("\n".join([header, *rows]))


def content(name):
    """Return the content of a config."""
    return yaml.safe_load(Path(f"{name}.yaml").read_text("utf-8"))


@pytest.fixture
def houses(tmp_path):
    """Write a German table with row numbers, names, dates, thousands, holes and codes."""
    rows = [
        f"{n};Weg {n};{n % 28 + 1:02}.12.2019;{50 + n * 7 % 90},5;{'?' if n == 9 else n * 3 % 40};"
        f"0{n % 4}501;7{n % 25 + 10}-800;{n}.{100 + n},50"
        for n in range(1, 61)
    ]
    text = "\n".join(["nr;straße;verkauft;fläche;alter;plz;typ;preis", *rows])
    (tmp_path / "häuser.csv").write_text(text, encoding="cp1252")
    return tmp_path / "häuser.yaml"


def test_refusals_of_a_table_are_settled_and_stand_in_the_config(houses, capsys):
    main(["init", "häuser.csv", "--target", "preis"])
    arguments = content("häuser")["data"]["init_args"]
    assert arguments["read_csv"] == {
        "encoding": "cp1252",
        "sep": ";",
        "decimal": ",",
        "thousands": ".",
        "dtype": {"plz": "category"},
        "na_values": {"alter": ["?"]},
        "parse_dates": ["verkauft"],
        "date_format": {"verkauft": "%d.%m.%Y"},
    }
    assert arguments["id_column"] == "nr"
    assert arguments["text_columns"] == ["straße"]
    assert arguments["categorical_columns"] == ["typ"]
    assert content("häuser")["model"]["init_args"]["head"] == "regression"
    assert "column 'alter' contains numbers and '?'" in capsys.readouterr().out


def test_each_reason_is_printed_once_and_then_the_arguments(houses, capsys):
    main(["init", "häuser.csv", "--target", "preis"])
    printed = capsys.readouterr().out
    assert printed.count("column 'alter' contains numbers and '?'") == 1
    assert printed.count("\n  read_csv: ") == 1
    settled = printed.partition("resolved by\n")[2].splitlines()
    arguments = [line.partition(":")[0] for line in settled[:4]]
    assert arguments == [
        "  read_csv",
        "  categorical_columns",
        "  id_column",
        "  text_columns",
    ]


REVIEWS = ["手机质量很好，屏幕清晰", "快递太慢，不推荐"]


@pytest.mark.parametrize(
    "columns", [["--target", "评价"], ["--target", "评价", "--text_column", "内容"]]
)
def test_the_encoding_of_a_chinese_table_is_named_in_the_config(columns, capsys):
    rows = [f"{n},{REVIEWS[n % 2]},{'好差'[n % 2]}" for n in range(60)]
    Path("t.csv").write_text("\n".join(["编号,内容,评价", *rows]), encoding="gb18030")
    main(["init", "t.csv", *columns])
    assert content("t")["data"]["init_args"]["read_csv"] == {"encoding": "gb18030"}
    assert "read as gb18030 (simplified Chinese)" in capsys.readouterr().out


def test_a_column_that_no_encoding_has_is_named_with_those_of_the_plausible_one(fails):
    Path("t.csv").write_text("编号,评价\n1,好\n2,差\n", encoding="gb18030")
    message = fails("init", "t.csv", "--target", "价格")
    assert "read as gb18030" in message
    assert "unknown column '价格'. Accepted: 编号, 评价." in message


def test_random_bytes_are_refused_as_no_text(fails):
    Path("t.csv").write_bytes(bytes(range(256)) * 4)
    assert "t.csv is not a text file" in fails("init", "t.csv")


def test_a_column_of_lists_is_described_by_what_settles_it(capsys):
    rows = [{"kind": "ab"[n % 2], "labels": ["x"] * (n % 3)} for n in range(20)]
    Path("t.json").write_text(json.dumps(rows))
    main(["init", "t.json"])
    lines = capsys.readouterr().out.splitlines()
    assert "  drop_columns: [labels]" in lines
    assert any(line.split()[:2] == ["kind", "category"] for line in lines)


def test_a_short_training_has_no_early_stopping():
    write_csv("x,y", [f"{n * 37 % 11}.5,{'ab'[n % 2]}" for n in range(200)])
    main(["init", "t.csv", "--target", "y"])
    trainer = content("t")["trainer"]
    assert trainer["max_epochs"] == 15
    assert not trainer["callbacks"]


def test_a_target_of_unread_numbers_is_told_and_read_by_arguments(fails):
    rows = [f"{n * 37 % 11};1{n:02},000" for n in range(60)]
    write_csv("x;price", rows)
    message = fails("init", "t.csv", "--target", "price", "--read_csv", "{sep: ;}")
    assert "'100,000'" in message
    assert "decimal, thousands," in message
    options = "{sep: ;, thousands: ','}"
    main(["init", "t.csv", "--target", "price", "--read_csv", options])
    assert content("t")["data"]["init_args"]["read_csv"]["thousands"] == ","
    assert content("t")["model"]["init_args"]["head"] == "regression"


@pytest.mark.parametrize(
    ("price", "given", "settled"),
    [
        ('"{:,}"', None, {"thousands": ","}),
        ("{:,}", "{sep: ;, decimal: .}", {"thousands": ","}),
        ("{:_}", "{sep: ;, decimal: ','}", {"thousands": "."}),
        ("{:_}", None, {"sep": ";", "decimal": ",", "thousands": "."}),
    ],
)
def test_whole_numbers_with_marks_of_thousands_are_settled(price, given, settled):
    prices = [price.format(900 + 37 * n).replace("_", ".") for n in range(60)]
    mark = "," if '"' in price else ";"
    write_csv(f"x{mark}price", [f"{n * 37 % 11}{mark}{prices[n]}" for n in range(60)])
    options = ["--read_csv", given] if given else []
    main(["init", "t.csv", "--target", "price", *options])
    arguments = content("t")["data"]["init_args"]
    assert arguments["read_csv"].items() >= settled.items()
    assert "id_column" not in arguments


def test_classes_of_which_one_is_a_word_stay_classes():
    write_csv("x,y", [f"{n * 37 % 11}.5,{'12a'[n % 3]}" for n in range(90)])
    main(["init", "t.csv", "--target", "y"])
    assert content("t")["data"]["init_args"]["task"] == "classification"
    write_csv("x,y", [f"{n * 37 % 11}.5,{['1', '2', 'NA'][n % 3]}" for n in range(90)])
    main(["init", "t.csv", "--target", "y", "--output", "na.yaml"])
    options = content("na")["data"]["init_args"]["read_csv"]
    assert options == {"na_values": {"y": ["NA"]}}


@pytest.mark.parametrize("total", ["in all,990", "a,Sum"])
def test_a_total_in_the_last_row_is_left_out(total):
    write_csv("x,y", [*(f"{n * 37 % 41}.5,{n}" for n in range(90)), total])
    main(["init", "t.csv", "--target", "y"])
    options = content("t")["data"]["init_args"]["read_csv"]
    assert options == {"skipfooter": 1, "engine": "python"}


def test_of_fixes_that_load_the_one_that_keeps_all_rows_is_taken():
    texts = {20: '"good', 22: 'bad"'}
    lines = [f"{'ab'[n % 2]}\t{texts.get(n, 'so so')}" for n in range(80)]
    Path("t.tsv").write_text("\n".join(["y\ttext", *lines]))
    main(["init", "t.tsv", "--target", "y", "--text_column", "text"])
    assert content("t")["data"]["init_args"]["read_csv"] == {"quoting": 3}


def test_where_no_fix_leads_on_the_first_refusal_and_its_end_are_told(fails):
    labels = {39: "", 20: "rare"}
    rows = [f"{n * 37 % 11}.5,{labels.get(n, 'ab'[n % 2])}" for n in range(40)]
    write_csv("x,y", rows)
    message = fails("init", "t.csv", "--target", "y")
    assert "1 rows have no target. The first of them is row 39" in message
    assert (
        "Then: stratify: expected two or more rows of each class, got fewer for rare. Remove"
        in message
    )


def test_a_table_without_target_is_described_as_it_will_be_settled(houses, capsys):
    main(["init", "häuser.csv"])
    printed = capsys.readouterr().out
    lines = [line.split()[:2] for line in printed.splitlines()]
    assert ["preis", "number"] in lines
    assert "--target, the column to predict" in printed
    assert not houses.exists()


def test_a_config_is_not_overwritten(houses, fails):
    houses.write_text("mine")
    assert "give --output" in fails("init", "häuser.csv", "--target", "preis")
    assert houses.read_text() == "mine"
    main(["init", "häuser.csv", "--target", "preis", "--output", "second.yaml"])
    assert content("second")["data"]["init_args"]["target"] == "preis"


@pytest.mark.parametrize(("num_rows", "bins"), [(180, 0), (5400, 8)])
def test_a_rare_class_is_the_one_to_find_and_seen_by_a_metric(num_rows, bins):
    write_csv(
        "x,y",
        [f"{n * 37 % 11}.5,{'yes' if n % 9 == 0 else 'no'}" for n in range(num_rows)],
    )
    main(["init", "t.csv", "--target", "y"])
    assert content("t")["data"]["init_args"]["positive_class"] == "yes"
    assert content("t")["model"]["init_args"]["metrics"] == ["acc", "auroc"]
    assert content("t")["data"]["init_args"]["bins"] == bins


def test_a_wide_target_is_learned_by_its_logarithm():
    write_csv("x,price", [f"{n * 37 % 11}.5,{1.5**n:.3f}" for n in range(60)])
    main(["init", "t.csv", "--target", "price"])
    assert content("t")["data"]["init_args"]["target_transform"] == "log"


@pytest.mark.parametrize(("repeats", "char_ngrams"), [(1, 4), (20, None)])
def test_a_folder_of_texts_is_read_and_short_ones_by_characters_too(
    repeats, char_ngrams, tmp_path
):
    for number in range(24):
        file = tmp_path / "notes" / ("pos" if number % 2 else "neg") / f"{number}.txt"
        file.parent.mkdir(parents=True, exist_ok=True)
        text = "a word or two of praise" if number % 2 else "no word of it at all"
        file.write_text(repeats * f"{text} ")
    main(["init", "notes"])
    data = content("notes")["data"]
    assert data["class_path"] == "TextDataModule"
    assert data["init_args"].get("char_ngrams") == char_ngrams


def test_images_without_weights_at_hand_get_a_convnet(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    image_folder(tmp_path / "photos", side=80)
    main(["init", "photos"])
    assert "--weights PATH" in capsys.readouterr().out
    assert content("photos")["model"]["class_path"] == "ConvNetModule"


@pytest.mark.slow
def test_images_with_weights_get_a_pretrained_network(tmp_path, fails):
    torch.save(Backbone("mobilenet_v2").model.state_dict(), tmp_path / "weights.pth")
    torch.save({"weight": torch.zeros(1)}, tmp_path / "others.pth")
    image_folder(tmp_path / "photos")
    assert "of another network" in fails("init", "photos", "--weights", "others.pth")
    main(["init", "photos", "--weights", "weights.pth"])
    assert content("photos")["model"]["init_args"]["weights"] == "weights.pth"
    main(["fit", "--config", "photos.yaml", "--trainer.fast_dev_run", "true"])


@pytest.mark.slow
def test_few_rows_are_measured_by_folds_and_then_all_trained_on(tmp_path, capsys):
    points_table(tmp_path / "few.csv", rows=60)
    main(["init", "few.csv", "--target", "label"])
    assert "dlp crossval --config few.yaml --num_folds 5" in capsys.readouterr().out
    assert content("few")["data"]["init_args"]["test_size"] is None
    trial = ["--config", "few.yaml", "--trainer.max_epochs", "1"]
    main(["crossval", *trial, "--num_folds", "5"])
    main(["fit", *trial, "--config", "retrain"])
    assert Path("runs/few+retrain/version_0/checkpoints/last.ckpt").exists()


@pytest.mark.parametrize("text", ["#N/A", "null", "no", "01", "[x]", "a: b"])
def test_a_text_among_the_arguments_of_read_csv_stays_as_it_is(text):
    rows = [f"{n},{'ab'[n % 2]},{'yn'[n % 3 > 0]}" for n in range(60)]
    Path("t.csv").write_text("\n".join(["x,kind,label", *rows]), encoding="utf-8")
    options = json.dumps({"na_values": text})
    main(["init", "t.csv", "--target", "label", "--read_csv", options])
    assert content("t")["data"]["init_args"]["read_csv"]["na_values"] == text
    recipe = load("t.yaml")
    assert recipe.data().read_csv["na_values"] == text
