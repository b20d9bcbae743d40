import math

import pytest

from dlp.errors import InputError
from dlp.runs.epochs import Epochs, read_metrics
from dlp.runs.folders import Run, config_name
from dlp.runs.json_files import read_json, write_json
from dlp.runs.record import read_run, write_results


def test_a_number_that_is_none_is_null_in_the_file_and_nan_again(tmp_path):
    gap = {"val_loss": [0.5, math.nan, math.inf], "val_acc": [0.25, 0.5, 0.75]}
    Epochs(gap).write_files(tmp_path)
    assert read_json(tmp_path / "history.json")["val_loss"] == [0.5, None, None]
    read = read_metrics(tmp_path)
    assert [math.isnan(value) for value in read["val_loss"]] == [False, True, True]
    assert read["val_acc"] == gap["val_acc"]
    write_json(tmp_path / "a.json", {"b": [{"c": math.nan}], "d": (1, True, "NaN")})
    assert read_json(tmp_path / "a.json") == {"b": [{"c": None}], "d": [1, True, "NaN"]}


def test_a_damaged_file_is_named_and_one_that_is_not_there_is_empty(tmp_path):
    path = tmp_path / "results.json"
    assert read_json(path) == {}
    for text, words in (("{", "is damaged"), ("[1]", "holds no numbers by name")):
        path.write_text(text)
        with pytest.raises(InputError, match=f"results.json {words}|results.json.*{words}"):
            read_json(path)


def test_a_run_is_read_as_it_was_written(tmp_path):
    folder = tmp_path / "runs" / "own" / "version_3"
    folder.mkdir(parents=True)
    epochs = Epochs({"val_nll": [0.5, 0.25, math.nan]}, {"val_nll": "min"}, {"val_nll": 0.25})
    epochs.write_files(folder)
    write_results(folder, epochs, "val_nll", 7, {"train_rows": 90})
    (folder / "config.yaml").write_text("monitor: val_nll\ndata: {init_args: {train_size: null}}\n")
    run = read_run(folder)
    assert (run.name, run.monitor, run.epochs.num_epochs) == ("own", "val_nll", 3)
    assert run.best("val_nll") == (0.25, 2)
    assert run.results["best"] == run.results["last"] == {"val_nll": 0.25}
    assert run.setting("data.train_size") == 90
    assert run.test_scores == {}
    assert "no number" not in run.epochs.advice("val_nll")  # the last epoch was not validated
    assert run.checkpoint() is None


@pytest.mark.parametrize(
    "folder",
    ["imdb/version_0", "imdb/version_2/repeat_0/fold_1", "imdb/seed_3", "imdb/study_0/trial_4"],
)
def test_the_name_of_a_config_stands_above_the_folders_that_count(folder, tmp_path):
    assert config_name(tmp_path / folder) == "imdb"
    assert Run(tmp_path / folder).name == "imdb"
    assert config_name(tmp_path / "chosen") == "chosen"
