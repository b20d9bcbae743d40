import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import confusion_matrix

from dlp.evaluation.confusion import Confusion
from dlp.evaluation.mistake_files import read_mistakes, to_dict, write_mistakes
from dlp.evaluation.mistakes import ClassificationMistakes


@given(st.integers(2, 6), st.integers(1, 40), st.integers(0, 2**32 - 1))
@settings(max_examples=40, deadline=None)
def test_it_is_scikit_learns_matrix_by_its_cells(classes, rows, seed):
    true, taken = np.random.default_rng(seed).integers(classes, size=(2, rows))
    found, expected = (
        Confusion.of(true, taken, classes),
        confusion_matrix(true, taken, labels=range(classes)),
    )
    assert found.matrix().tolist() == expected.tolist()
    assert found.num_wrong == (true != taken).sum()
    assert Confusion.of_matrix(expected.tolist()) == found
    assert Confusion.of_cells(found.cells(), classes) == found
    wrong = expected - np.diag(np.diag(expected))
    assert [count for *_, count in found.most_confused(3)] == sorted(wrong[wrong > 0])[::-1][:3]
    mistaken = wrong.sum(0) + wrong.sum(1)
    assert sorted(mistaken[found.most_mistaken(2)]) == sorted(mistaken)[-2:]
    assert found.matrix(np.array([1, 0])).tolist() == expected[:2, :2][::-1, ::-1].tolist()


def test_the_file_of_ten_thousand_classes_is_small_and_comes_back(tmp_path):
    classes, rows = 10_000, 50
    targets = np.arange(rows) * 7
    probabilities = np.full((rows, classes), 1e-5)
    probabilities[np.arange(rows), targets + np.arange(rows) % 2] = 0.9
    mistakes = ClassificationMistakes.of(probabilities, targets)
    assert mistakes.num_wrong == 25
    write_mistakes(mistakes, tmp_path / "mistakes.json")
    assert (tmp_path / "mistakes.json").stat().st_size < 2e6
    assert read_mistakes(tmp_path / "mistakes.json") == mistakes


def test_the_file_of_few_classes_holds_the_matrix_in_full(tmp_path):
    mistakes = ClassificationMistakes.of(np.eye(3)[[0, 1, 1]], np.array([0, 1, 2]))
    assert to_dict(mistakes)["confusion"] == [[1, 0, 0], [0, 1, 0], [0, 1, 0]]
    write_mistakes(mistakes, tmp_path / "mistakes.json")
    assert read_mistakes(tmp_path / "mistakes.json") == mistakes
