import gzip
import json

import pytest

from dlp.datamodules.tables.json_rows import read_json_rows, without_missing
from dlp.errors import InputError
from dlp.table_places import place

ROWS = [{"text": "a", "label": 1}, {"text": "b", "label": "x", "more": None}]


def written(folder, text, name="rows.json", encoding="utf-8"):
    path = folder / name
    path.write_bytes(text.encode(encoding))
    return path


@pytest.mark.parametrize(
    "text",
    [
        "\n".join(map(json.dumps, ROWS)),
        "\r\n\r\n".join(map(json.dumps, ROWS)) + "\r\n",
        json.dumps(ROWS),
        json.dumps(ROWS, indent=2),
        json.dumps({"version": 1, "data": ROWS}, indent=1),
        json.dumps({"text": ["a", "b"], "label": [1, "x"], "more": [None, None]}),
        json.dumps({"text": {"0": "a", "1": "b"}, "label": {"0": 1, "1": "x"}}),
        json.dumps({"text": {"0": "a", "1": "b"}, "label": {"1": "x", "0": 1}}),
    ],
)
def test_every_shape_gives_the_same_cells(text, tmp_path):
    frame = read_json_rows(written(tmp_path, text))
    assert frame["text"].tolist() == ["a", "b"]
    assert frame["label"].tolist() == [1, "x"]


def test_the_place_of_a_row_is_its_line(tmp_path):
    text = "\n\n".join(map(json.dumps, ROWS))
    frame = read_json_rows(written(tmp_path, text))
    assert [place(frame, row) for row in (0, 1)] == ["line 1 of the file", "line 3 of the file"]


def test_half_an_emoji_is_no_character(tmp_path):
    cells = [r"whole \ud83d\uDE00", r"half \uD83d", r"half \ude00\ud83d", r"none \\ud83d"]
    path = written(tmp_path, "".join(f'{{"text": "{cell}", "n": 1}}\n' for cell in cells))
    assert read_json_rows(path)["text"].tolist() == [
        *("whole \U0001f600", "half ?", "half ??", r"none \ud83d")
    ]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig"])
def test_marks_of_encodings_are_understood(encoding, tmp_path):
    frame = read_json_rows(written(tmp_path, '{"text": "é", "n": 1}\n', encoding=encoding))
    assert frame["text"].tolist() == ["é"]


def test_the_encoding_can_be_given(tmp_path):
    path = written(tmp_path, '{"text": "caf\u00e9", "n": 1}\n', encoding="cp1252")
    assert read_json_rows(path, "cp1252")["text"].tolist() == ["caf\u00e9"]
    with pytest.raises(InputError, match=r"is not UTF-8 text .*table_format: \{encoding: cp1252\}"):
        read_json_rows(path)


def test_compressed_and_damaged(tmp_path):
    content = gzip.compress(b'{"text": "a", "n": 1}\n' * 50)
    (tmp_path / "rows.jsonl.gz").write_bytes(content)
    assert len(read_json_rows(tmp_path / "rows.jsonl.gz")) == 50
    (tmp_path / "rows.jsonl.gz").write_bytes(content[:-20])
    with pytest.raises(InputError, match=r"rows.jsonl.gz is damaged or cut off"):
        read_json_rows(tmp_path / "rows.jsonl.gz")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ('{"text": "a"}\n{"text": "b}\n{"text": "c"}', "line 2 is no JSON .*Correct or remove"),
        ('{"text": "a"}\n{"text": "b', "line 2 .* The file seems to be cut off"),
        ('{"text": "a"}\n["b", 1]', r"line 2 is no object.* but '\[\"b\", 1\]'"),
        ("[1, 2]", "holds no rows: accepted are an object a line"),
        ('{"text": "a", "label"', "cannot read .* as JSON"),
        ("[{'text': 'a'}]", "Python's notation"),
        ("{'text': 'a'}\n{'text': 'b'}", "line 1 is .* Python's notation .*json.dumps"),
        ("text,label\na,b\n", "cannot read .* as JSON"),
        ('{"a": 1}\n{"a": 1, "b": 2, "b": 3}', "in line 2 an object has the key 'b' twice"),
        ('[{"a": 1, "a": 2}]', "rows.json: an object has the key 'a' twice, with two values"),
        ('{"a": [1, 2], "b": [3, 4], "a": [5, 6]}', "has the key 'a' twice"),
    ],
)
def test_what_is_wrong_is_said(text, message, tmp_path):
    with pytest.raises(InputError, match=message):
        read_json_rows(written(tmp_path, text))


def test_a_key_that_says_the_same_twice_is_read(tmp_path):
    frame = read_json_rows(written(tmp_path, '{"text": "a", "n": 1, "n": 1}\n'))
    assert frame["n"].tolist() == [1]


def test_cells_that_mean_missing_keep_no_kind(tmp_path):
    rows = [{"a": cell} for cell in ("NA ", -1, -1.0, "-1", True, [1], {"b": 1}, None, 1)]
    frame = read_json_rows(written(tmp_path, json.dumps(rows)))
    found = without_missing(frame, ["NA", "-1"])["a"].tolist()
    assert found == [None, None, None, None, True, [1], {"b": 1}, None, 1]
    assert list(map(type, found))[-1] is int
