from dlp.text_table import aligned

ROWS = [["run", "value"], ["a longer name", "0.5"], ["b", ""]]


def test_words_begin_below_each_other_and_numbers_end_so():
    assert aligned(ROWS, left=1) == ["run            value", "a longer name    0.5", "b"]
    assert aligned(ROWS) == ["run            value", "a longer name  0.5", "b"]
    assert aligned(ROWS[:2], left=0)[0] == "          run  value"
    assert aligned([]) == []
