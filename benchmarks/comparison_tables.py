"""The tables of against_keras.py, made of what it has kept."""

import statistics
from datetime import UTC, datetime
from typing import Any

from tables import best, in_proportion, number, put, ratio_text, ratios, spread, table
from workloads import WORKLOADS, Workload

MEASURES = {
    "epoch": "epoch, s",
    "fit": "fit, s",
    "whole": "whole command, s",
    "peak": "peak memory, MB",
    "rate": "images/s",
    "first": "images/s in the first pass",
}
#: Of these more is better.
RATES = ("rate", "first")


def values(workload: Workload, way: str, rounds: dict[str, Any], measure: str) -> dict[int, float]:
    """Return the number of each round that has one, in proportion where a part was measured."""
    found = {}
    for key, result in rounds.items():
        if "error" in result:
            continue
        if measure == "peak" or (measure == "whole" and way == "dlp"):
            found[int(key)] = result[measure]
        elif "epochs" not in result or (measure == "first" and workload.job.kind != "input"):
            continue  # a cross-validation tells no seconds of its own, features take one pass
        elif measure in RATES:
            first, *others = result["epochs"]
            steady = statistics.median(others or [first])
            found[int(key)] = result["rows"] / (first if measure == "first" else steady)
        else:
            epochs, folds, share = len(result["epochs"]), 1, 1.0
            if way != "dlp":
                epochs, folds = workload.epochs or epochs, workload.folds
                share = result.get("share", 1.0)
            found[int(key)] = in_proportion(result, epochs, folds, share)[measure]
    return found


def keras_ways(
    name: str, known: dict[str, Any], measure: str, tuned: bool = False
) -> dict[str, dict[int, float]]:
    """Return the rounds of each backend; for 16 bits also those in float32, which may be faster.

    Args:
        name: Of the workload.
        known: What was measured.
        measure: Of `MEASURES`.
        tuned: Those of `Job.tuned`, instead of those as the book writes it.
    """
    found = {
        way: values(WORKLOADS[name], way, rounds, measure)
        for way, rounds in known.get(name, {"ways": {}})["ways"].items()
        if way != "dlp" and not way.startswith("lightning") and way.endswith("tuned") == tuned
    }
    if name.endswith("_bf16"):
        others = keras_ways(name.removesuffix("_bf16"), known, measure, tuned)
        found |= {f"{way}, float32": of for way, of in others.items()}
    return found


def fastest(
    ways: dict[str, dict[int, float]], more_is_better: bool
) -> tuple[str, dict[int, float]]:
    """Return the way of the best median, with its rounds; "" where nothing was measured."""
    first = best({way: [*of.values()] for way, of in ways.items()}, more_is_better)
    return (first, ways[first]) if first else ("", {})


def rows_of(name: str, known: dict[str, Any]) -> list[list[str]]:
    """Return the rows of a workload in the first table: one a measure."""
    workload, rows = WORKLOADS[name], []
    for measure in workload.measures:
        more = measure in RATES
        first, theirs = fastest(keras_ways(name, known, measure), more)
        _, tuned = fastest(keras_ways(name, known, measure, tuned=True), more)
        ways = known[name]["ways"]
        plain, own = (
            values(workload, way, ways.get(way, {}), measure) for way in ("lightning", "dlp")
        )
        cells = [
            number(statistics.median(of.values())) if of else "-" for of in (theirs, plain, own)
        ]
        rows.append(
            [
                f"{workload.title}: {MEASURES[measure]}",
                f"{cells[0]} ({first})" if first else "-",
                *cells[1:],
                ratio_text(ratios(theirs, own, more)),
                ratio_text(ratios(tuned, own, more)),
                ratio_text(ratios(plain, own, more)),
                str(len(theirs.keys() & own.keys())),
            ]
        )
    return rows


def each_way(name: str, known: dict[str, Any]) -> list[list[str]]:
    """Return the rows of a workload in the table of all ways."""
    workload, rows = WORKLOADS[name], []
    measures = ("epoch", "fit", "whole", "peak")
    if "rate" in workload.measures:
        measures = ("rate", "first", "whole", "peak")
    for way, rounds in known["ways"].items():
        failed = [result["error"] for result in rounds.values() if "error" in result]
        cells = []
        for measure in measures:
            of = [*values(workload, way, rounds, measure).values()]
            unit = " img/s" if measure in RATES else ""
            digits = 2 if measure in ("epoch", "fit", "whole") else 0
            cells.append(spread(of, digits) + unit if of else "-")
        last = [result["losses"][-1] for result in rounds.values() if result.get("losses")]
        loss = spread(last, 4) if last else (failed[-1][:80] if failed else "")
        rows.append([name, way, *cells, loss, str(len(rounds) - len(failed))])
    return rows


def checked(name: str, known: dict[str, Any]) -> list[str]:
    """Return a workload's row in the table of checks."""
    limit = WORKLOADS[name].tolerance
    checks = {way: of for way, of in known["checks"].items() if way != "dlp"}
    distances = {way: of["apart"] for way, of in checks.items() if "apart" in of}
    cells = []
    for way in ("lightning", "tensorflow", "jax", "torch"):
        missing = "failed" if "error" in checks.get(way, {}) else "-"
        cells.append(f"{distances[way]:.1e}" if way in distances else missing)
    own = [of["own apart"] for of in checks.values() if "own apart" in of]
    steps = max((of["steps"] for of in checks.values() if "steps" in of), default=0)
    if not distances:
        answer = f"not checked: {known['checks'].get('dlp', {}).get('error', '')[:80]}"
    elif max(distances.values()) <= limit:
        answer = f"same within {limit:g}"
    else:
        answer = f"**not** within {limit:g}"
    if "failed" in cells:
        answer += ", what failed is not measured"
    return [name, str(steps), *cells, answer, f"{max(own):.1e}" if own else "-"]


def starts(known: dict[str, Any]) -> str:
    """Return the table of what every command waits for."""
    rows = []
    for label, rounds in known["ways"].items():
        good = [result for result in rounds.values() if "error" not in result]
        first = [result["first"] for result in good if "first" in result]
        whole = [result["whole"] for result in good]
        cells = [spread(first, 2) if first else "-", spread(whole, 2) if whole else "failed"]
        rows.append([label, *cells, str(len(good))])
    return table(
        ["command", "first batch after, s", "whole, s: median (min to max)", "rounds"], rows
    )


def measured_at(known: dict[str, Any]) -> str:
    """Return the version of dlp, once if all workloads were measured at one."""
    names: dict[str, list[str]] = {}
    for name, of in known.items():
        names.setdefault(of["dlp"], []).append(name)
    if len(names) == 1:
        return f"dlp {next(iter(names))}"
    return "; ".join(f"dlp {version} ({', '.join(of)})" for version, of in names.items())


def all_tables(results: dict[str, Any]) -> dict[str, str]:
    """Return the text of each marker."""
    there = {name: of for name, of in results["workloads"].items() if of["ways"]}
    known = {name: there[name] for name in WORKLOADS if name in there}
    facts = "; ".join(f"{key} {value}" for key, value in results["machine"].items())
    facts = f"{facts}; {measured_at(there)}"
    text = {}
    if known:
        head = ["workload", "Keras, best backend", "Lightning, default", "dlp"]
        head += ["times better than Keras (of a round)", "than Keras, tuned", "than Lightning"]
        head += ["rounds"]
        rows = [row for name in known for row in rows_of(name, known)]
        when = f"{datetime.now(UTC):%Y-%m-%d}"
        text["keras"] = f"{table(head, rows)}\n\nWritten {when}. {facts}."
        head = ["workload", "way", "epoch, s", "fit, s", "whole, s", "peak MB"]
        rows = [row for name, of in known.items() for row in each_way(name, of)]
        text["each way"] = table([*head, "last training loss", "rounds"], rows)
        head = ["workload", "steps", "Lightning", "TensorFlow", "JAX", "torch", "answer"]
        compared = results["workloads"]  # measured or not
        names = [name for name in WORKLOADS if name in compared and WORKLOADS[name].steps]
        rows = [checked(name, compared[name]) for name in names]
        text["same results"] = table([*head, "Keras's own RMSprop"], rows)
    if "startup" in there:
        text["start-up"] = starts(there["startup"])
    return text


def page(results: dict[str, Any]) -> None:
    """Write the tables into docs/benchmarks.md."""
    for name, text in all_tables(results).items():
        put(name, text)


def say_quick(results: dict[str, Any]) -> None:
    """Print the tables of a trial, which are not for the page."""
    for name, text in all_tables(results).items():
        print(f"\n{name} (a trial on a few rows: the numbers mean nothing)\n{text}")
