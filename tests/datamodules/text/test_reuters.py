import hashlib
import io
import tarfile
from itertools import pairwise

import numpy as np
import pytest
from keras_files import publish, ragged, ranks

from dlp.datamodules import ReutersDataModule
from dlp.datamodules.splitting.splits import keras_order
from dlp.datamodules.text import reuters
from dlp.datamodules.text.reuters import CLASS_NAMES
from dlp.errors import InputError
from dlp.files import cache_dir

HEAD = '<REUTERS TOPICS="YES" LEWISSPLIT="TRAIN" CGISPLIT="TRAINING-SET" OLDID="1" NEWID="1">\n'


def wire(topics, text):
    """Return a wire as it stands in the distribution."""
    named = "".join(f"<D>{topic}</D>" for topic in topics)
    return (
        f"{HEAD}<DATE>26-FEB-1987</DATE>\n<TOPICS>{named}</TOPICS>\n<PLACES><D>usa</D></PLACES>\n"
        f"<UNKNOWN>&#5;reute</UNKNOWN>\n{text}\n</REUTERS>\n"
    )


def full(title, body):
    return (
        f"<TEXT>&#2;\n<TITLE>{title}</TITLE>\n<DATELINE> PARIS - </DATELINE>"
        f"<BODY>{body}\n Reuter\n&#3;</BODY></TEXT>"
    )


def brief(title):
    return f'<TEXT TYPE="BRIEF">&#2;\n******<TITLE>{title}</TITLE>\n Reuter\n&#3;</TEXT>'


def unprocessed(text):
    return f'<TEXT TYPE="UNPROC">&#2;\n{text}\n Reuter\n&#3;</TEXT>'


def wires():
    """Return 2 x 16 wires: of two kept topics, one rare topic, some without topic or body."""
    made = [wire([], full("no topic", "never seen"))]
    for row in range(18):
        made.append(wire(["grain", "corn"], full(f"title{row}", f"grain{row} rose &lt;a> 5 pct")))
        made.append(wire(["earn"], full(f"net{row}", f"earn{row} fell caf\xe9")))
    made.insert(4, wire(["earn"], brief("short &amp; brief1")))
    made.insert(9, wire(["grain"], unprocessed("plain report1")))
    made.append(wire(["rare"], full("rare", "rare")))
    return made


def write_archive(folder, files):
    path = folder / "reuters21578" / "reuters21578.tar.gz"
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


@pytest.fixture
def sgml():
    head = '<!DOCTYPE lewis SYSTEM "lewis.dtd">\n'
    made = wires()
    parts = [head + "".join(made[:20]), head + "".join(made[20:])]
    return {f"reut2-{number:03}.sgm": part.encode("latin-1") for number, part in enumerate(parts)}


@pytest.fixture
def archive(tmp_path, monkeypatch, sgml):
    hashes = tuple(hashlib.sha256(content).hexdigest() for content in sgml.values())
    monkeypatch.setattr(reuters, "SHA256", hashes)
    return write_archive(tmp_path, {"README.txt": b"read me", **sgml})


def texts(data):
    """Return every text in the book's order (validation, training, test)."""
    parts = [("train", 30), ("test", 8)]
    return [data.decode(data.sequence(p, row)) for p, count in parts for row in range(count)]


def test_topics_order_and_split_are_the_books(archive, tmp_path):
    data = ReutersDataModule(str(tmp_path), val_size=None, num_words=None)
    assert data.class_names == ["grain", "earn"]
    labels = [0 if "grain" in w.split("</TOPICS>")[0] else 1 for w in wires()[1:-1]]
    ordered = np.array(labels)[keras_order(38)]
    assert data.examples("train").targets.tolist() == ordered[:30].tolist()
    assert data.examples("test").targets.tolist() == ordered[30:].tolist()
    for text, label in zip(texts(data)[:30], ordered, strict=False):
        assert ("earn" in text or "brief1" in text) == bool(label)


def test_each_wire_has_its_own_text_unescaped(archive, tmp_path):
    data = ReutersDataModule(str(tmp_path), val_size=None, num_words=None)
    words = set(data.vocabulary.words)
    assert {"caf\xe9", "a"} <= words
    assert not words & {"lt", "amp", "never", "rare", "corn", "\x03", "3", "title0"}
    every = _decoded(data, "train") + _decoded(data, "test")
    assert "short brief1" in every
    assert "plain report1 reuter" in every
    assert "grain3 rose a 5 pct reuter" in every


def test_the_published_pairing_takes_the_next_body(archive, tmp_path):
    own, published = (
        ReutersDataModule(str(tmp_path), text=text, val_size=None, num_words=None)
        for text in ("own", "as_published")
    )
    assert own.examples("train").targets.tolist() == published.examples("train").targets.tolist()
    words = [
        {
            word
            for part in ("train", "test")
            for text in _decoded(data, part)
            for word in text.split()
        }
        for data in (own, published)
    ]
    assert {"brief1", "report1"} <= words[0]
    assert not words[1] & {"brief1", "report1"}
    assert {"lt", "3", "reuter"} <= words[1]
    bodies = [body for name in ("train", "test") for body in _decoded(published, name)]
    for word, times in (("earn1", 2), ("earn3", 2), ("earn2", 1)):  # what follows brief1, report1
        assert sum(word in body.split() for body in bodies) == times


def _decoded(data, part):
    corpus = data.parts(data.source)[part].rows.corpus
    return [
        " ".join(corpus.words[token] for token in corpus.tokens[start:end])
        for start, end in pairwise(corpus.offsets)
    ]


def test_one_hot_topics(archive, tmp_path):
    _, targets = next(
        iter(ReutersDataModule(str(tmp_path), val_size=4, one_hot=True).val_dataloader())
    )
    assert targets.shape == (4, 2)


def test_the_second_time_the_archive_is_not_opened(archive, tmp_path):
    first = ReutersDataModule(str(tmp_path), val_size=4).input_shape
    archive.write_bytes(b"corrupt")
    assert ReutersDataModule(str(tmp_path), val_size=4).input_shape == first


def test_another_file_is_refused_with_both_hashes(archive, sgml, tmp_path):
    expected = reuters.SHA256[1]
    write_archive(tmp_path, {**sgml, "reut2-001.sgm": b"other"})
    found = hashlib.sha256(b"other").hexdigest()
    with pytest.raises(InputError, match=f"reut2-001.sgm in .*another file.*{found}.*{expected}"):
        ReutersDataModule(str(tmp_path)).fit()
    del sgml["reut2-000.sgm"]
    write_archive(tmp_path, sgml)
    with pytest.raises(InputError, match=r"reut2-000.sgm in .* is missing"):
        ReutersDataModule(str(tmp_path)).fit()


def test_a_truncated_archive_is_named(archive, tmp_path):
    archive.write_bytes(archive.read_bytes()[:-400])
    with pytest.raises(InputError, match=r"cannot read .*tar.gz .*corrupt or truncated: delete"):
        ReutersDataModule(str(tmp_path)).fit()


def test_a_download_is_checked_before_it_is_kept(archive, tmp_path, monkeypatch):
    origin = archive.rename(tmp_path / "origin.tar.gz")
    monkeypatch.setattr(reuters, "URL", origin.as_uri())
    assert ReutersDataModule(str(tmp_path), val_size=4).num_outputs == 2
    archive.unlink()
    origin.write_bytes(b"a page that says not found")
    monkeypatch.setenv("DLP_CACHE_DIR", str(tmp_path / "other"))
    with pytest.raises(InputError, match="cannot read"):
        ReutersDataModule(str(tmp_path)).fit()
    assert not list(archive.parent.iterdir())


def test_without_network_the_error_says_what_to_do(archive, tmp_path, monkeypatch):
    archive.unlink()
    monkeypatch.setattr(reuters, "URL", (tmp_path / "nowhere").as_uri())
    with pytest.raises(InputError, match=r"cannot reach .*copy it to .*reuters21578.tar.gz here"):
        ReutersDataModule(str(tmp_path)).fit()


def test_an_unknown_text_gets_a_suggestion():
    with pytest.raises(InputError, match="Did you mean 'as_published'"):
        ReutersDataModule(text="published")


def test_a_trial_writes_no_cache(archive, tmp_path):
    data = ReutersDataModule(str(tmp_path))
    data.dry_run = True
    assert len(data.val_dataloader().inputs) == 7
    assert data.num_outputs == 2
    assert not list(cache_dir().iterdir())


def test_the_archive_gives_keras_ids(tmp_path, monkeypatch):
    rows = 46 * 3
    x, y = ragged(ranks(rows, 1)), np.arange(rows) % 46
    publish(monkeypatch, tmp_path, "reuters", {"x": x, "y": y})
    data = ReutersDataModule(
        str(tmp_path), source="keras", num_words=20, val_size=None, split_seed=0
    )
    assert data.class_names == CLASS_NAMES
    order = keras_order(rows)[int(rows * 0.8) :]
    assert data.examples("test").targets.tolist() == y[order].tolist()
    for row, number in enumerate(order):
        ids = [1] + [rank + 3 for rank in x[number]]
        assert data.sequence("test", row) == [id if id < 20 else 2 for id in ids]


@pytest.mark.realdata
@pytest.mark.parametrize(("text", "tokens"), [("own", 132.4), ("as_published", 145.54)])
def test_real_wires(text, tokens):
    data = ReutersDataModule(text=text)
    assert data.class_names == CLASS_NAMES
    assert data.input_shape == (10000,)
    sizes = [len(data.examples(part).rows) for part in ("train", "val", "test")]
    assert sizes == [7982, 1000, 2246]
    assert data.examples("val").targets[:10].tolist() == [3, 4, 3, 4, 4, 4, 4, 3, 3, 16]
    corpus = data.examples("train").rows.corpus
    assert len(corpus.tokens) / len(corpus) + 1 == pytest.approx(tokens, abs=0.05)
    assert data.encode_text("said")[1] < 20
    data.train_dataloader(), data.val_dataloader()
    print("first time, seconds:", round(data.prepare_seconds, 2))
    again = ReutersDataModule(text=text)
    again.train_dataloader(), again.val_dataloader()
    print("second time, seconds:", round(again.prepare_seconds, 2))
