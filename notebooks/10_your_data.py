# %% [markdown]
# # 10. Your data: from CSV to served model
#
# Your table has holes, words among the numbers, and umlauts. This chapter goes the
# whole way with one: train on it, ask the model, ask it why, and put it where others
# can use it. The table here is made up, so that we know the truth: a flat costs 200,
# and 9 per square metre, and 150 more in Köln.

# %%
# %matplotlib inline
import json
import subprocess
import sys
from pathlib import Path
from urllib.request import Request, urlopen

import numpy as np
import pandas as pd

from dlp import Predictor
from dlp.cli import main
from dlp.visualization import draw_curves

random = np.random.default_rng(0)
area, city = random.uniform(30, 150, 600), random.choice(["Köln", "Ulm"], 600)
flats = pd.DataFrame({"area": area.round(2), "rooms": area // 35 + 1, "city": city})
flats["rent"] = (
    200 + 9 * area + 150 * (city == "Köln") + random.normal(0, 20, 600)
).round()
flats.loc[::40, "area"] = None
flats.to_csv("flats.csv", index=False)
flats.head(3)

# %% [markdown]
# **One file says everything.** For a file of your own,
# `dlp init flats.csv --target rent` writes it. Nothing is guessed: holes must be
# allowed, and how to fill them is said. The middle value and all scales come from the
# training rows alone.

# %%
config = """
data:
  class_path: TableDataModule
  init_args: {path: flats.csv, target: rent, missing: median, target_scaling: standard,
              test_size: 0.2, val_size: 0.2, batch_size: 32}
model:
  class_path: DenseModule
  init_args: {head: regression, hidden: [32, 32]}
trainer: {max_epochs: 30, enable_progress_bar: false, enable_model_summary: false}
test_after_fit: best
threads: 1
"""
Path("flats.yaml").write_text(config)
_ = main(["fit", "--config", "flats.yaml"])  # dlp fit --config flats.yaml

# %% alt="Loss and error per epoch, of training and validation"
draw_curves(pd.read_csv("runs/flats/version_0/metrics.csv").to_dict("list"))

# %% [markdown]
# **Ask it.** A `Predictor` needs neither the table nor the config: a checkpoint holds
# all that it takes to read a new row. One of the new flats has no area: it gets the
# middle one. One lies in a city that training has not seen: it counts as neither.

# %%
predictor = Predictor.load("flats")
new = [
    {"area": 60, "rooms": 2, "city": "Köln"},
    {"area": None, "rooms": 3, "city": "Ulm"},
    {"area": 120, "rooms": 4, "city": "Jena"},
]
answers = predictor.predict(new)
pd.concat([pd.DataFrame(new), answers.round()], axis=1)

# %% [markdown]
# **Ask why.** Put the typical value in place of one cell of the first flat: what
# changes? It is the model's view, not the world's. In our world the number of rooms
# costs nothing; but large flats have many, so the model gives them a share of the
# area's price.

# %%
predictor.explain(new[0]).round()

# %% [markdown]
# **Hand it on.** The export is a folder with one ONNX file, a reader of some hundred
# lines and a card. It runs without dlp and without PyTorch, and the command proves on
# the test rows that it gives the same answers.

# %%
folder = main(["export", "flats"])  # dlp export flats
exported = Predictor.load(folder).predict(new)

# %% [markdown]
# **Serve it.** `dlp serve flats` opens a page to try the model, and answers programs:

# %%
command = [sys.executable, "-m", "dlp", "serve", str(folder), "--port", "0"]
server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
address = server.stdout.readline().split(" at ")[1].split(";")[0]
body = json.dumps({"rows": new}).encode()
request = Request(f"{address}/predict", body, {"Content-Type": "application/json"})
with urlopen(request) as response:
    served = json.load(response)["predictions"]
server.terminate()
print(*served, sep="\n")

# %% tags=["hide"]
truth = 200 + 9 * 60 + 150
assert abs(answers["rent"][0] - truth) < 60
assert np.allclose(answers, exported, rtol=1e-5)
assert np.allclose(answers["rent"], [row["rent"] for row in served], rtol=1e-5)
assert server.wait(10) is not None

# %% [markdown]
# **On the command line**: `dlp init flats.csv --target rent`,
# `dlp fit --config flats.yaml`, `dlp visualize importance flats`, `dlp export flats`,
# `dlp serve flats`. Texts and images go the same way.
#
# Back to [the first chapter](01_first_look.py)
