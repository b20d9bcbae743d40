import gzip
from pathlib import Path

import numpy as np
import pytest

from dlp.datamodules.encodings import settle_encoding

CHINESE = "这家店的手机质量很好，屏幕清晰", "快递太慢了，不推荐购买", "用了两天就坏了"
TAIWANESE = "這家店的手機品質很好，螢幕清晰", "快遞太慢了，不推薦購買", "用了兩天就壞了"
JAPANESE = (
    "この店の携帯電話はとても良いです",
    "配送が遅すぎる",
    "二日で壊れました、スマートフォン",
)
KOREAN = (
    "이 가게의 휴대폰은 품질이 좋아요",
    "배송이 너무 느려요",
    "이틀 만에 고장났어요",
)
RUSSIAN = (
    "Хороший телефон, экран чёткий",
    "Очень медленная доставка",
    "Сломался за два дня",
)
GERMAN = "größer als erwartet, schön", "Straße gesperrt", "süß und günstig"


def write_table(texts, encoding, header="number,text,label"):
    """Write a table of 30 rows; return its path."""
    lines = [header]
    for number in range(30):
        lines.append(f"{number},{texts[number % 3]},{'ab'[number % 2]}")
    path = Path("t.csv")
    path.write_text("\n".join(lines), encoding=encoding)
    return path


def encoding_of(path, names=()):
    """Return the encoding that settles the refusal of a file."""
    [fix] = settle_encoding(path, names).fixes
    return fix["read_csv"]["encoding"]


@pytest.mark.parametrize(
    ("texts", "written", "read"),
    [
        (CHINESE, "gb18030", "gb18030"),
        (TAIWANESE, "big5", "cp950"),
        (JAPANESE, "shift_jis", "cp932"),
        (KOREAN, "euc_kr", "cp949"),
        (RUSSIAN, "cp1251", "cp1251"),
        (GERMAN, "cp1252", "cp1252"),
        (GERMAN, "utf-16", "utf-16"),
        (CHINESE, "utf-16", "utf-16"),
    ],
)
def test_the_encoding_of_texts_is_found(texts, written, read):
    path = write_table(texts, written)
    assert encoding_of(path) == read
    assert path.read_text(read) == path.read_text(written)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "ascii"])
def test_utf_8_is_not_refused(encoding):
    texts = ("plain", "words", "here")
    if encoding != "ascii":
        texts = CHINESE
    assert settle_encoding(write_table(texts, encoding)) is None


@pytest.mark.parametrize(
    "text", ["Köln", "12 €", "25 °C", "süß", "naïve “quoted” text"]
)
def test_a_single_word_of_western_europe_is_cp1252(text):
    Path("t.csv").write_text(f"city,x\n{text},1\nBonn,2\n", encoding="cp1252")
    assert encoding_of(Path("t.csv")) == "cp1252"


@pytest.mark.parametrize(
    ("name", "written", "read"),
    [
        ("评价", "gb18030", "gb18030"),
        ("評價", "big5", "cp950"),
        ("評価", "shift_jis", "cp932"),
    ],
)
def test_the_names_of_columns_decide_where_cells_say_nothing(name, written, read):
    path = write_table(("good", "bad", "poor"), written, f"number,text,{name}")
    assert encoding_of(path, [name]) == read


def test_a_compressed_file_is_read():
    path = write_table(GERMAN, "cp1252")
    compressed = Path("t.csv.gz")
    compressed.write_bytes(gzip.compress(path.read_bytes()))
    assert encoding_of(compressed) == "cp1252"


@pytest.mark.parametrize("size", [100, 1000, 10_000])
def test_random_bytes_are_not_text(size):
    numbers = np.random.default_rng(0).integers(0, 256, size, np.uint8)
    Path("t.csv").write_bytes(numbers.tobytes())
    refusal = settle_encoding(Path("t.csv"))
    assert "t.csv is not a text file" in str(refusal)
    assert not refusal.fixes


def test_a_damaged_line_of_a_utf_8_file_is_named():
    lines = [f"{number},{text}".encode() for number, text in enumerate(CHINESE * 5)]
    lines[7] = lines[7][:-1]
    Path("t.csv").write_bytes(b"\n".join([b"number,text", *lines]))
    refusal = settle_encoding(Path("t.csv"))
    assert "is UTF-8, except for line 9" in str(refusal)
    assert not refusal.fixes
