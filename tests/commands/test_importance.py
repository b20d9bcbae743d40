import numpy as np
import pandas as pd

from dlp.cli import main

SETTINGS = "--trainer.max_epochs 8 --model.hidden [32] --model.optimizer Adam --data.test_size null"


def test_a_useless_column_adds_nothing_and_a_copied_one_shares(points):
    cause, other, noise = np.random.default_rng(0).normal(size=(3, 400))
    label = np.where(cause + other > 0, "yes", "no")
    columns = {"cause": cause, "copy": cause, "other": other, "noise": noise, "label": label}
    pd.DataFrame(columns).to_csv("points.csv", index=False)
    main(["fit", "--config", "points.yaml", *SETTINGS.split(), "--model.optimizer.lr", "0.02"])
    table = main(["visualize", "importance", "points"]).set_index("column")
    assert table.index[table["note"] == "adds nothing"].tolist() == ["noise"]
    assert table["importance"][["cause", "copy"]].max() < table["importance"]["other"]
    written = pd.read_csv("runs/points/version_0/visualize/importance.csv")
    assert written["column"].tolist() == table.index.tolist()
