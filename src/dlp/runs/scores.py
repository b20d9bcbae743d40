"""Scores of the last test, from the content of ``results.json``."""

from dlp.runs.folder import Results


def test_scores(results: Results) -> dict[str, dict[str, float]]:
    """Return the scores of the last test, of the model and of baselines; empty without one."""
    test = results.get("test", {})
    own = {name.removeprefix("test_"): test[name] for name in test if name.startswith("test_")}
    if not own:
        return {}
    scores: dict[str, dict[str, float]] = {"this model": own}
    if test.get("at_0.5"):
        scores["this model, threshold 0.5"] = test["at_0.5"]
    scores |= test.get("baselines", {})
    return scores


def threshold_note(results: Results) -> str:
    """Return a sentence about the threshold of the last test, if there is another one."""
    tested = results.get("test", {}).get("threshold")
    current = results.get("threshold", tested)
    if tested is None:
        return ""
    if current != tested:
        return (
            f"The test was at the threshold {tested:.3g}. Since then dlp calibrate has set "
            f"{current:.3g}, at which classes are predicted. Run dlp test again."
        )
    if tested == 0.5:
        return ""
    return (
        f"Classes are predicted at the threshold {tested:.3g}. All scores of the test are at "
        "this threshold, except where 0.5 is named."
    )
