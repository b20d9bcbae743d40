import json

import pytest
from PIL import Image

from dlp.cli import main


@pytest.fixture
def houses(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = "\n".join(f"{30 + n},{'Paris' if n % 3 else 'Lyon'},{90 + 3 * n}.5" for n in range(30))
    (tmp_path / "houses.csv").write_text(f"area,city,price\n{rows}\n")
    (tmp_path / "houses.yaml").write_text(
        "data:\n  class_path: TableDataModule\n"
        "  init_args: {path: houses.csv, target: price, test_size: 5, val_size: 5}\n"
    )
    return tmp_path


def test_data_are_shown_and_nothing_is_written(houses, capsys):
    main(["data", "--config", "houses.yaml"])
    out = capsys.readouterr().out
    assert "20 training, 5 validation, 5 test" in out
    assert "target price" in out
    assert sorted(path.name for path in houses.iterdir()) == ["houses.csv", "houses.yaml"]


def test_a_json_file_is_written_where_it_is_asked_for(houses):
    main(["data", "--config", "houses.yaml", "--data.test_size", "6", "--output", "reading.json"])
    found = json.loads((houses / "reading.json").read_text())
    assert found["parts"] == [["training", 19], ["validation", 5], ["test", 6]]
    assert found["target"]["task"] == "regression"


def test_a_model_is_neither_needed_nor_built(houses, capsys):
    with (houses / "houses.yaml").open("a") as file:
        file.write("model:\n  class_path: DenseModule\n  init_args: {hidden: [-3]}\n")
    main(["data", "--config", "houses.yaml"])
    assert "training" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--data.target", "prize"], "no column 'prize'. Did you mean 'price'"),
        (["--data.targte", "price"], "targte"),
        (["--output", "."], ". is a folder"),
    ],
)
def test_mistakes_get_a_sentence(houses, capsys, options, message):
    with pytest.raises(SystemExit):
        main(["data", "--config", "houses.yaml", *options])
    assert message in capsys.readouterr().err


def test_a_reference_set(houses, capsys):
    main(["data", "--config", "housing"])
    assert "404 training, 102 test" in capsys.readouterr().out


def test_images_are_drawn_as_the_model_sees_them(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for number in range(10):
        path = tmp_path / f"pets/{'cat' if number % 2 else 'dog'}/{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8), (20 * number, 90, 10)).save(path)
    (tmp_path / "pets.yaml").write_text(
        "data:\n  class_path: ImageFolderDataModule\n"
        "  init_args: {path: pets, image_size: 8, val_size: 2, test_size: 2}\n"
    )
    main(["data", "--config", "pets.yaml"])
    assert "wrote runs/pets/batch.png" in capsys.readouterr().out
    with Image.open("runs/pets/batch.png") as figure:
        assert figure.format == "PNG"
    (tmp_path / "runs/pets/batch.png").unlink()
    (tmp_path / "runs/pets").rmdir()
    (tmp_path / "runs/pets").write_text("in the way")
    main(["data", "--config", "pets.yaml"])
    assert "cannot write runs/pets/batch.png" in capsys.readouterr().out
