import pandas as pd

from dlp.evaluation.suspects import contradictions


def test_inputs_with_several_labels_are_found_with_a_row_of_each():
    rows = pd.DataFrame({"index": range(6), "hash": [7, 5, 7, 5, 7, 3], "target": [*"abaacb"]})
    assert contradictions(rows)["index"].tolist() == [1, 3, 0, 4]
