"""Spark and Ray Data predict as ``dlp predict`` does. The tests need both packages, and Java."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dlp.cli import main

CONFIG = """\
data:
  class_path: TableDataModule
  init_args: {path: rows.parquet, target: y}
model: {class_path: DenseModule, init_args: {head: regression, hidden: [4]}}
trainer: {max_epochs: 1}
"""


@pytest.mark.slow
@pytest.mark.parametrize(("package", "folder"), [("pyspark", "spark"), ("ray.data", "ray")])
def test_an_engine_predicts_as_the_command_does(package, folder, tmp_path, monkeypatch):
    pytest.importorskip(package)
    if package == "pyspark" and shutil.which("java") is None:
        pytest.skip("Spark needs Java")
    monkeypatch.chdir(tmp_path)
    numbers = np.random.default_rng(0).normal(size=(300, 3))
    frame = pd.DataFrame(numbers, columns=["id", "x", "y"]).assign(kind=["a", "b", "c"] * 100)
    frame["id"] = range(300)
    frame.to_parquet("rows.parquet")
    Path("rows.yaml").write_text(CONFIG.replace("target: y", "target: y, id_column: id"))
    main(["fit", "--config", "rows.yaml"])
    main(["export", "rows"])
    main(["predict", "--config", "rows.yaml", "--data.predict_path", "rows.parquet"])
    expected = pd.read_csv("runs/rows/version_0/predictions_rows.csv")
    frame.drop(columns="y").to_parquet("new.parquet")
    script = Path(__file__).parents[1] / folder / "predict.py"
    args = [script, "runs/rows/version_0/exported", "new.parquet", "out.parquet"]
    environment = os.environ | {"PYSPARK_PYTHON": sys.executable}
    subprocess.run([sys.executable, *map(str, args)], check=True, env=environment)
    predictions = pd.read_parquet("out.parquet").sort_values("id")
    np.testing.assert_allclose(predictions["y"], expected["value"], rtol=1e-5, atol=1e-6)
