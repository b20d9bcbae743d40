"""Scores of a run's last test, from the content of ``results.json``."""

from dlp.runs.folder import Results


def test_scores(results: Results) -> dict[str, dict[str, float]]:
    """Return the scores of the model and of baselines in the last test, by name.

    The result is empty if the run was not tested.
    """
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
    """Return a sentence about the threshold of the last test.

    It is empty if the run was not tested, or if the threshold was 0.5 and still is.
    """
    tested = results.get("test", {}).get("threshold")
    current = results.get("threshold", tested)
    if tested is None:
        return ""
    if current != tested:
        return (
            f"The test used the threshold {tested:.3g}. Since then dlp calibrate has set it to "
            f"{current:.3g}, which predictions now use. Run dlp test again."
        )
    if tested == 0.5:
        return ""
    return (
        f"Classes are predicted at the threshold {tested:.3g}. All test scores use this threshold, "
        "except where 0.5 is stated."
    )
