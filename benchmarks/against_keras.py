"""Every workload beside Keras 3 and beside Lightning's default way: one command.

    python benchmarks/against_keras.py [WORKLOAD ...] [--rounds 5] [--keras DIR ...]

Each measurement is a process of its own, and the ways take turns, so that a machine whose speed
drifts drifts for all. The ways are Keras on each backend, on TensorFlow also with what its guides
advise where it is slow (`Job.tuned`), what a newcomer writes with Lightning (`lightning_way.py`)
and dlp's whole command. Before the clocks start, dlp writes its rows, first
weights and first batches; the others take steps on these, and the losses are set beside dlp's.

It needs dlp as it is developed (``pip install -e '.[dev]'``) and, for the book's data,
``DLP_DATA_DIR``. Keras lives in environments of its own, each with one backend, given as
``--keras`` or as ``KERAS_ENVIRONMENTS`` (folders, with a colon between two):

    for backend in tensorflow-cpu jax torch; do
        python -m venv keras/$backend && keras/$backend/bin/pip install keras $backend
    done

(for torch, ``--extra-index-url https://download.pytorch.org/whl/cpu`` avoids a CUDA build). Each
result is kept at once below the cache folder, and the same command goes on where it stopped:
``--minutes`` ends it early, ``--fresh`` begins all workloads anew, ``--tables`` only writes
docs/benchmarks.md. A workload that was measured at another version begins anew when it is asked
for; the others stay. After a first round, backends that took 1.5 times as long as the best one are
left out (``--all_backends`` keeps them), and Lightning after those that ``--lightning_rounds``
gives it. ``--quick`` tries it all on a few rows: its numbers mean nothing and are only printed.
"""

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from comparison_tables import page, say_quick
from jobs import Job
from processes import machine, run, version_of_dlp
from tables import apart
from workloads import STARTS, WORKLOADS, Workload

from dlp.files import cache_dir, write_text

HERE = Path(__file__).resolve().parent
#: How much slower than the best a backend may be in the first round, to be measured again.
NEAR = 1.5
#: What is measured beside dlp itself: a result of other files than these is another result.
WAYS = [f"benchmarks/{name}.py" for name in ("keras_way", "lightning_way", "dlp_way", "jobs")]
WAYS.append("benchmarks/workloads.py")
TUNED = "tensorflow, tuned"


class Comparison:
    """The ways of each workload, what was measured, and where it is kept.

    Args:
        backends: Name of a backend -> the Python of its environment.
        quick: Whether it is a trial.
        fresh: Whether earlier results are thrown away.
        only_tables: Whether nothing is measured, so that earlier results are taken as they are.
        limit: Seconds after which a process is given up.
        lightning_rounds: Rounds in which Lightning's way is measured.
    """

    def __init__(
        self,
        backends: dict[str, str],
        quick: bool,
        fresh: bool,
        only_tables: bool,
        limit: float,
        lightning_rounds: float,
    ) -> None:
        self.backends, self.quick, self.limit = backends, quick, limit
        self.lightning_rounds = lightning_rounds
        self.folder = cache_dir() / ("against_keras_quick" if quick else "against_keras")
        self.folder.mkdir(parents=True, exist_ok=True)
        self.home, self.version = self.folder / "results.json", version_of_dlp(*WAYS)
        self.results: dict[str, Any] = {"machine": machine(backends), "workloads": {}}
        if self.home.exists() and not fresh:
            found = with_versions(json.loads(self.home.read_text(encoding="utf-8")))
            now, then = self.results["machine"], found["machine"]
            changed = [f"{key} {then[key]}" for key in then if now.get(key, then[key]) != then[key]]
            if changed and not only_tables:
                raise SystemExit(
                    f"{self.home} was measured with {', '.join(changed)}: give --fresh to begin "
                    "anew, or --tables to write what is there."
                )
            self.results = found if only_tables else {**found, "machine": {**now, **then}}

    def keep(self) -> None:
        """Write what was measured."""
        write_text(self.home, json.dumps(self.results, indent=1))

    def of(self, name: str) -> dict[str, Any]:
        """Return what is known of a workload: its ``checks``, and the rounds of each way.

        ``dlp`` is the version that they were measured at.
        """
        new: dict[str, Any] = {"dlp": self.version, "checks": {}, "ways": {}}
        known: dict[str, Any] = self.results["workloads"].setdefault(name, new)
        return known

    def begin(self, name: str) -> None:
        """Begin a workload anew if what is known of it was measured at another version of dlp."""
        then = self.of(name)["dlp"]
        if then != self.version:
            print(f"{name}: begins anew, it was measured at dlp {then} (now {self.version})")
            for made in ("data", "quickstart", "imdb"):  # by the dlp of then
                shutil.rmtree(self.folder / name / made, ignore_errors=True)
            del self.results["workloads"][name]
            self.keep()

    # What is started -----------------------------------------------------------------------------

    def environment(self, name: str, **more: str) -> dict[str, str]:
        """Return the environment of a process: a cache of its own, nothing from the network."""
        path = os.pathsep.join(filter(None, [str(HERE), os.environ.get("PYTHONPATH")]))
        own = {"DLP_CACHE_DIR": str(self.folder / name / "cache"), "PYTHONPATH": path}
        return {**os.environ, **own, **more}

    def keras(self, way: str, job: Job) -> dict[str, Any]:
        """Run Keras's way in the environment of a backend."""
        backend, job = way.partition(",")[0], replace(job, tuned=way == TUNED)
        words = [self.backends[backend], str(HERE / "keras_way.py"), job.dump()]
        quiet = {"KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "2", "PYTHONPATH": ""}
        return run(words, {**os.environ, **quiet}, self.limit, tells=True)

    def lightning(self, name: str, job: Job) -> dict[str, Any]:
        """Run Lightning's default way."""
        words = [sys.executable, str(HERE / "lightning_way.py"), job.dump()]
        return run(words, self.environment(name), self.limit, tells=True)

    def dlp(self, name: str, workload: Workload, job: Job) -> dict[str, Any]:
        """Run dlp's command, and read its run and the times that `EpochTimes` has noted."""
        environment = self.environment(name)
        if not workload.command:
            shutil.rmtree(self.folder / name / "cache", ignore_errors=True)  # it decodes again
            words = [sys.executable, str(HERE / "dlp_way.py"), "passes", job.dump()]
            return run(words, environment, self.limit, tells=True)
        if job.kind == "features" or "fit" in workload.measures:  # which computes them
            shutil.rmtree(self.folder / name / "cache" / "features", ignore_errors=True)
        with tempfile.TemporaryDirectory() as folder:
            times, place = Path(folder) / "times.json", Path(folder) / "run"
            words = [sys.executable, "-m", "dlp", *workload.command_words(self.quick)]
            words += ["--run_dir", str(place)]
            is_crossval = workload.command == "crossval"
            if not is_crossval:  # a callback of one's own has the folds trained one by one
                words += ["--trainer.callbacks+", "epoch_times.EpochTimes"]
            result = run(words, {**environment, "EPOCH_TIMES": str(times)}, self.limit)
            if "error" in result:
                return result
            if is_crossval:
                curves = json.loads((place / "crossval.json").read_text("utf-8"))["curves"]
                return {**result, "losses": curves["train_loss"]}
            noted = json.loads(times.read_text(encoding="utf-8"))
            if job.kind == "features":
                seconds = noted["start"] - noted["setup"]
                return {**result, "fit": seconds, "epochs": [seconds], "rows": job_rows(job)}
            epochs = [b - a for a, b in zip(noted["epochs"], noted["epochs"][1:], strict=False)]
            losses = json.loads((place / "history.json").read_text("utf-8"))["train_loss"]
            seconds = json.loads((place / "results.json").read_text("utf-8"))["seconds"]["fit"]
            return {**result, "fit": seconds, "epochs": epochs, "losses": losses}

    # The parts of a comparison -------------------------------------------------------------------

    def prepare(self, name: str, workload: Workload) -> bool:
        """Write data, weights and batches, and check that all ways compute the same."""
        self.begin(name)
        checks, job = self.of(name)["checks"], self.job(name, workload)
        if "losses" not in checks.get("dlp", {}) and "files" not in checks.get("dlp", {}):
            shutil.rmtree(job.folder, ignore_errors=True)
            words = [sys.executable, str(HERE / "dlp_way.py"), "export", job.dump()]
            words += [str(workload.steps), *workload.words_for(self.quick)]
            checks["dlp"] = run(words, self.environment(name), self.limit, tells=True)
            self.keep()
        if "error" in checks["dlp"]:
            print(f"{name}: {checks['dlp']['error']}", file=sys.stderr)
            return False
        for way in ["lightning", *self.backends] if workload.steps else []:
            if "error" in checks.get(way, {"error": ""}):
                asked = replace(job, kind="check")
                found = self.other(name, way, asked)
                checks[way] = found if "error" in found else compared(found, checks["dlp"], job)
                print(name, "check", way, checks[way], flush=True)
                self.keep()
        return True

    def job(self, name: str, workload: Workload) -> Job:
        """Return the job of a workload's other ways."""
        return workload.job_for(self.quick, str(self.folder / name / "data"))

    def other(self, name: str, way: str, job: Job) -> dict[str, Any]:
        """Run another way than dlp's."""
        if way.startswith("lightning"):
            job = replace(job, workers=2 if way.endswith("workers") else 0)
            return self.lightning(name, job)
        return self.keras(way, job)

    def ways(self, name: str, workload: Workload, number: int, drop: bool) -> list[str]:
        """Return the ways of a round: slow backends are left out after the first.

        So is what has failed to take the same steps.
        """
        reads, checks = workload.job.kind == "input", self.of(name)["checks"]
        backends = [one for one in self.backends if one == "tensorflow" or not reads]
        backends = [one for one in backends if "error" not in checks.get(one, {})]
        tuned = [TUNED] if "tensorflow" in backends and workload.tuned else []
        measured = self.of(name)["ways"]
        if drop and number:
            taken = {
                one: measured[one]["0"]["fit"]
                for one in backends
                if "fit" in measured.get(one, {}).get("0", {})
            }
            backends = [one for one in taken if taken[one] <= NEAR * min(taken.values())]
        plain = ["lightning", *(["lightning, 2 workers"] if reads else [])]
        return [*backends, *tuned, *(plain if number < self.lightning_rounds else []), "dlp"]

    def measure(self, name: str, workload: Workload, number: int, drop: bool, until: float) -> None:
        """Measure a round of a workload, but what is there already."""
        job = self.job(name, workload)
        for way in self.ways(name, workload, number, drop):
            rounds = self.of(name)["ways"].setdefault(way, {})
            if "error" in rounds.get(str(number), {"error": ""}) and time.time() < until:
                if way == "dlp":
                    result = self.dlp(name, workload, job)
                else:
                    few = workload.lightning_epochs if way.startswith("lightning") else None
                    asked = replace(job, epochs=min(few or job.epochs, job.epochs))
                    result = self.other(name, way, asked)
                rounds[str(number)] = result
                shown = {key: value for key, value in result.items() if key != "losses"}
                print(name, number, way, shown, flush=True)
                self.keep()

    def starts(self, number: int, until: float) -> None:
        """Measure what every command waits for."""
        self.begin("startup")
        runs = {one: self.folder / "startup" / one for one in ("quickstart", "imdb")}
        commands = {label: [sys.executable, *words] for label, words in STARTS.items()}
        for backend, python in self.backends.items():
            commands[f"`import keras` ({backend})"] = [python, "-c", "import keras"]
        for one, place in runs.items():
            if not (place / "checkpoints" / "best.ckpt").exists():
                words = [sys.executable, "-m", "dlp", "fit", "--config", one, "--run_dir"]
                words += [str(place), "--trainer.max_epochs", "1"]
                words += ["--trainer.callbacks+", "epoch_times.EpochTimes"]
                print(run(words, self.environment("startup"), self.limit))
        for label, command in commands.items():
            rounds = self.of("startup")["ways"].setdefault(label, {})
            if "error" in rounds.get(str(number), {"error": ""}) and time.time() < until:
                with tempfile.TemporaryDirectory() as folder:
                    times = Path(folder) / "times.json"
                    more = {"EPOCH_TIMES": str(times), "KERAS_BACKEND": label[16:-1]}
                    places = {**runs, "tests": HERE / "pytest_start"}
                    words = [word.format(**places) if "{" in word else word for word in command]
                    result = run(words, self.environment("startup", **more), self.limit)
                    if times.exists():
                        noted = json.loads(times.read_text(encoding="utf-8"))
                        result["first"] = noted["first"] - result["begun"]
                rounds[str(number)] = result
                print("startup", number, label, result, flush=True)
                self.keep()


def with_versions(results: dict[str, Any]) -> dict[str, Any]:
    """Return kept results in which each workload names the version of dlp it was measured at.

    Older files name one for all, among the facts of the machine.
    """
    facts = dict(results["machine"])
    then = facts.pop("dlp", "unknown")
    known = {name: {"dlp": then, **of} for name, of in results["workloads"].items()}
    return {**results, "machine": facts, "workloads": known}


def job_rows(job: Job) -> int:
    """Return how many rows the parts of a job have."""
    return sum(len(job.targets(part)) for part in ("train", "val"))


def compared(found: dict[str, Any], own: dict[str, Any], job: Job) -> dict[str, Any]:
    """Return how far a way's first losses, or features, lie from those of dlp."""
    if "features" in found:
        import numpy as np

        wanted = np.load(Path(job.folder) / "features.npy")
        far = np.abs(np.asarray(found["features"]) - wanted).max() / np.abs(wanted).mean()
        return {"apart": float(far), "steps": 1}
    answer = {"apart": apart(found["losses"], own["losses"]), "steps": len(own["losses"])}
    if "own losses" in found:
        answer["own apart"] = apart(found["own losses"], own["losses"])
    return answer


def main() -> None:
    """Prepare, check, measure in turns, and write the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    choices = [*WORKLOADS, "startup"]
    parser.add_argument("workloads", nargs="*", metavar="WORKLOAD", help=", ".join(choices))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--keras", nargs="*", metavar="DIR", help="environments with Keras")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="begin nothing after")
    parser.add_argument("--limit", type=float, default=3600, help="seconds of one process")
    parser.add_argument(
        "--lightning_rounds", type=float, default=float("inf"), help="rounds with Lightning's way"
    )
    for option in ("quick", "fresh", "tables", "all_backends"):
        parser.add_argument(f"--{option}", action="store_true")
    given = parser.parse_args()
    if unknown := set(given.workloads) - set(choices):
        parser.error(f"no workload {', '.join(unknown)}; there are {', '.join(choices)}")
    places = os.environ.get("KERAS_ENVIRONMENTS", "").split(":") if given.keras is None else None
    comparison = Comparison(
        backends_of([*filter(None, places or given.keras or [])]),
        given.quick,
        given.fresh,
        given.tables,
        given.limit,
        given.lightning_rounds,
    )
    chosen, until = given.workloads or choices, time.time() + 60 * given.minutes
    wanted = {name: WORKLOADS[name] for name in chosen if name in WORKLOADS}
    if not given.tables:
        ready = [
            name
            for name in wanted
            if time.time() < until and comparison.prepare(name, wanted[name])
        ]
        for number in range(given.rounds):
            for name in ready:
                drop = not given.all_backends
                comparison.measure(name, wanted[name], number, drop, until)
            if "startup" in chosen:
                comparison.starts(number, until)
    (say_quick if given.quick else page)(comparison.results)


def backends_of(places: list[str]) -> dict[str, str]:
    """Return the backend of each environment -> its Python; the folder's packages tell."""
    found = {}
    for place in places:
        python = Path(place).absolute() / "bin" / "python"
        for backend in ("tensorflow", "jax", "torch"):
            if [*Path(place).glob(f"lib/python*/site-packages/{backend}/__init__.py")]:
                found[backend] = str(python)
                break
        else:
            raise SystemExit(f"{place} is no environment with TensorFlow, JAX or torch")
    return found


if __name__ == "__main__":
    main()
