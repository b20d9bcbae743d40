import json
import pickle

import datasets
import lightning
import pytest
import torch
from text_files import NUM_WORDS, hub_folder, make, named_classes, reviews, write_csv
from torch import nn

from dlp.bag_of_words import BagOfWords
from dlp.datamodules.known_rows import known_columns
from dlp.datamodules.text.base import SAMPLE_SIZE
from dlp.datamodules.text.vocabulary import OFFSET
from dlp.errors import InputError, MissingInputError
from dlp.files import cache_dir


@pytest.fixture
def table(tmp_path):
    return write_csv(tmp_path / "reviews.csv", reviews())


def dense(data, part):
    loader = getattr(data, f"{part}_dataloader")()
    rows = [inputs.to_dense(data.input_shape[0]) for inputs, _ in loader]
    return torch.cat(rows)


def test_sizes_and_names_are_known_before_setup(table):
    data = make(table, batch_size=16)
    assert data.input_shape == (NUM_WORDS,)
    assert data.num_outputs == 2
    assert data.class_names == ["bad", "good"]
    inputs, targets = next(iter(data.train_dataloader()))
    assert isinstance(inputs, BagOfWords)
    assert len(inputs.offsets) == len(targets) == 16
    assert targets.dtype == torch.int64
    assert len(data.train_dataloader().inputs) == 48
    assert len(data.val_dataloader().inputs) == 12


def test_labels_stay_with_their_texts(table):
    data = make(table, num_words=None)
    good = data.encode_text("good")[1]
    for inputs, targets in [*data.train_dataloader(), *data.val_dataloader()]:
        assert torch.equal(inputs.to_dense(data.input_shape[0])[:, good].long(), targets)


def test_the_vocabulary_comes_from_the_training_part_alone(table):
    data = make(table, num_words=None, val_size=0.5)
    shown = {word for row in range(30) for word in data.decode(data.sequence("train", row)).split()}
    assert set(data.vocabulary.words) == shown - {"?"}
    assert "?" in {
        w for row in range(30) for w in data.decode(data.sequence("val", row)).split()[1:]
    }


def test_a_text_comes_back_in_its_order(table):
    data = make(table, num_words=None, split_seed=None, val_size=None)
    text, _ = reviews()[7]
    expected = text.lower().replace(",", "").replace(":", "").replace(".", "")
    assert data.decode(data.sequence("train", 7)) == f"? {expected}"
    assert data.sequence("train", 7) == data.encode_text(text)


def test_encodings_differ_in_weights_alone(table):
    hot, count, tfidf, sublinear = (
        dense(make(table, encoding=encoding, split_seed=None), "val")
        for encoding in ("multi_hot", "count", "tfidf", "sublinear_tfidf")
    )
    assert torch.equal(hot, (count > 0).float())
    assert count.max() > 1
    hot[:, :OFFSET] = 0  # the start of a text and unknown words are no terms of tf-idf
    assert torch.equal(hot, (tfidf > 0).float())
    assert torch.equal(hot, (sublinear > 0).float())
    assert not torch.equal(tfidf, sublinear)
    torch.testing.assert_close(tfidf.norm(dim=1), torch.ones(len(tfidf)))


def test_a_long_text_is_cut_not_dropped(table):
    data = make(table, max_length=4, num_words=None)
    assert len(data.train_dataloader().inputs) == 48
    assert dense(make(table, max_length=4, encoding="count"), "train").sum(dim=1).max() == 4


def test_one_hot_targets(table):
    _, targets = next(iter(make(table, one_hot=True).val_dataloader()))
    assert targets.shape == (12, 2)
    assert targets.dtype == torch.float32
    assert (targets.sum(dim=1) == 1).all()


def test_several_label_columns_are_several_labels(tmp_path):
    rows = [(f"film {row}", row % 2, row // 2 % 2) for row in range(20)]
    path = write_csv(tmp_path / "labels.csv", rows, ("text", "funny", "sad"))
    data = make(path, label_column=["funny", "sad"])
    assert data.class_names == ["funny", "sad"]
    _, targets = next(iter(data.val_dataloader()))
    assert targets.shape == (4, 2)
    assert targets.dtype == torch.float32


def test_ratings_are_values(tmp_path):
    path = write_csv(tmp_path / "ratings.csv", [(f"film {row}", row / 4) for row in range(20)])
    data = make(path)
    assert (data.num_outputs, data.class_names) == (1, None)


def write_tsv(folder, rows):
    return write_csv(folder / "reviews.tsv", rows, delimiter="\t")


def write_jsonl(folder, rows):
    lines = [json.dumps({"text": text, "label": label}) for text, label in rows]
    (folder / "reviews.jsonl").write_text("\n".join(lines))
    return str(folder / "reviews.jsonl")


def write_json(folder, rows):
    cells = [{"text": text, "label": label} for text, label in rows]
    (folder / "reviews.json").write_text(json.dumps(cells))
    return str(folder / "reviews.json")


def write_parquet(folder, rows):
    columns = {"text": [text for text, _ in rows], "label": [label for _, label in rows]}
    datasets.Dataset.from_dict(columns).to_parquet(folder / "reviews.parquet")
    return str(folder / "reviews.parquet")


@pytest.mark.parametrize("write", [write_tsv, write_jsonl, write_json, write_parquet])
def test_every_kind_of_table_gives_the_same(write, tmp_path, table):
    data = make(write(tmp_path, reviews()))
    assert torch.equal(dense(data, "val"), dense(make(table), "val"))
    assert data.class_names == ["bad", "good"]


def test_texts_that_look_like_missing_values_or_numbers_are_texts(tmp_path):
    rows = [("NA", "x"), ("null", "y"), ("12", "x"), ("nan", "NA")]
    path = write_csv(tmp_path / "odd.csv", rows)
    data = make(path, val_size=None)
    assert set(data.vocabulary.words) == {"na", "null", "12", "nan"}
    assert data.class_names == ["NA", "x", "y"]


def test_a_folder_of_tables_has_a_part_a_file(tmp_path):
    write_csv(tmp_path / "train.csv", reviews())
    write_jsonl(tmp_path, reviews(20, seed=1))
    (tmp_path / "reviews.jsonl").rename(tmp_path / "valid.jsonl")
    write_csv(tmp_path / "test_set.csv", reviews(10, seed=2))
    write_csv(tmp_path / "sample_submission.csv", [(1, 2)], ("id", "label"))
    data = make(str(tmp_path))
    assert [len(data.examples(part).rows) for part in ("train", "val", "test")] == [60, 20, 10]
    assert set(data.examples("val").targets) == {"bad", "good"}
    assert "left out, since their names tell no part" in data.reading().input.notes[0]


def test_tables_of_two_kinds_make_one_part_and_rows_keep_their_numbers(tmp_path):
    write_csv(tmp_path / "train-1.csv", reviews(6))
    write_parquet(tmp_path, reviews(4, seed=1))
    (tmp_path / "reviews.parquet").rename(tmp_path / "train-2.parquet")
    data = make(str(tmp_path), val_size=None, split_seed=None)
    rows = data.examples("train")
    assert [*zip(rows.names, rows.places.tolist(), strict=True)] == [
        *(("train-1.csv", row) for row in range(6)),
        *(("train-2.parquet", row) for row in range(4)),
    ]
    assert data.texts(rows.rows) == [text for text, _ in reviews(6) + reviews(4, seed=1)]


@pytest.mark.parametrize("tokens", ["words", "characters"])
def test_a_script_without_spaces_is_said_and_read_by_characters(tokens, tmp_path, capsys):
    rows = [(f"这部电影非常好看我很喜欢第{row}次", "好") for row in range(10)]
    rows += [(f"演员的表演非常糟糕不推荐第{row}次", "坏") for row in range(10)]
    path = write_csv(tmp_path / "films.csv", rows)
    data = make(path, tokens=tokens, val_size=0.2)
    words = data.vocabulary.words
    said = capsys.readouterr().out
    if tokens == "words":
        assert "'演员的表演非常糟糕不推荐" in said or "'这部电影" in said
        assert "use tokens: characters" in said
    else:
        assert not said
        assert {"好", "坏"} & {*words} == {"好"}
        assert data.encode_text("好")[1] > 3
        with pytest.raises(InputError, match="trained with tokens: characters; give the same"):
            make(path).load_state_dict(data.state_dict())


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        ([1, "two", 1, "two"], ["1", "two"]),
        ([1.0, "1", 2, "2"], ["1", "2"]),
        ([" pos", "neg", "pos ", "neg"], ["neg", "pos"]),
        ([True, False, True, False], ["False", "True"]),
    ],
)
def test_labels_that_mix_kinds_are_read_as_text(labels, names, tmp_path):
    path = write_jsonl(tmp_path, [(f"text {row}", label) for row, label in enumerate(labels)])
    assert make(path, val_size=None).class_names == names


@pytest.mark.parametrize("odd", [True, ["a", "b"], {"a": 1}])
def test_a_label_that_is_no_label_is_refused_with_its_line(odd, tmp_path):
    path = write_jsonl(tmp_path, [("a", 1), ("b", odd), ("c", 2)])
    with pytest.raises(InputError, match="in line 2 of the file; accepted as labels"):
        make(path).fit()


def test_texts_come_back_as_they_were_given(table):
    data, given = make(table), dict.fromkeys(text for text, _ in reviews())
    for _ in range(2):  # read, then from the cache
        assert {*data.readable(data.examples("train").rows)} < given.keys()
        data = make(table)


def test_a_row_is_known_by_its_number_its_id_and_the_truth(tmp_path):
    rows = [(f"text {row}", row % 2, f"r{row}") for row in range(20)]
    header = ("text", "label", "review")
    path = write_csv(tmp_path / "rows.csv", rows, header)
    new = write_csv(tmp_path / "new.csv", [("a text", 1, "n0"), ("more", "", "n1")], header)
    for _ in range(2):  # read, then from the cache
        data = make(path, test_size=5, id_column="review", predict_path=new)
        test = data.examples("test")
        assert [f"r{place}" for place in test.places] == test.ids.tolist()
        assert data.texts(test.rows) == [f"text {place}" for place in test.places]
        given = data.examples("predict")
        assert given.ids.tolist() == ["n0", "n1"]
        assert len(given.truth) == 2
        assert list(known_columns(data, "test")) == ["index", "review", "text", "true"]
    with pytest.raises(MissingInputError, match=r"id_column: .* Did you mean 'review'"):
        make(path, id_column="reviews").fit()


def test_a_sample_of_a_trial_knows_its_rows(tmp_path):
    path = write_csv(tmp_path / "many.csv", reviews(SAMPLE_SIZE * 2))
    data = make(path, val_size=None)
    data.dry_run = True
    train, texts = data.examples("train"), [text for text, _ in reviews(SAMPLE_SIZE * 2)]
    assert data.texts(train.rows) == [texts[place] for place in train.places]


def test_half_an_emoji_is_no_crash(tmp_path):
    path = write_jsonl(tmp_path, [("fine \ud83d", "x"), ("ok \U0001f600", "y")])
    data = make(path, val_size=None)
    assert sorted(data.readable(data.examples("train").rows)) == ["fine ?", "ok \U0001f600"]


def test_a_folder_in_the_hubs_layout_brings_test_part_and_names(tmp_path):
    path = hub_folder(tmp_path / "hub")
    data = make(path)
    assert data.class_names == ["neg", "pos"]
    assert len(data.test_dataloader().inputs) == 40
    assert len(data.train_dataloader().inputs) == 32
    cut = make(path, test_size=10)
    assert len(cut.test_dataloader().inputs) == 10
    assert len(cut.train_dataloader().inputs) == 22


def classes_of(data, part):
    rows = data.examples(part)
    data.fit()
    return {
        (text.split()[-1], data.class_names[number])
        for text, number in zip(
            data.texts(rows.rows), data.targets.encode(rows.targets), strict=True
        )
    }


@pytest.mark.parametrize("positive", [None, "anger"])
def test_class_numbers_mean_what_their_own_file_says(positive, tmp_path):
    both = {("anger", "anger"), ("joy", "joy")}
    train = named_classes(tmp_path / "train-1.parquet", ["anger", "joy"], ["anger", "joy"] * 6)
    test = named_classes(tmp_path / "test.parquet", ["joy", "anger"], ["anger", "joy", "joy"])
    for path, arguments in ((train, {"test_path": test}), (str(tmp_path), {})):
        data = make(path, positive_class=positive, **arguments)
        assert classes_of(data, "test") == both  # whichever part is asked for first
        assert classes_of(data, "train") == both
    named_classes(tmp_path / "val.parquet", ["joy", "anger"], ["joy", "anger"])
    named_classes(tmp_path / "train-2.parquet", ["fear", "joy"], ["joy", "fear"])
    data = make(str(tmp_path))
    assert classes_of(data, "train") == {*both, ("fear", "fear")}
    assert classes_of(data, "val") == classes_of(data, "test") == both


def test_a_class_of_the_test_file_that_training_does_not_name_is_refused(tmp_path):
    train = named_classes(tmp_path / "a.parquet", ["anger", "joy"], ["anger", "joy"] * 6)
    test = named_classes(tmp_path / "b.parquet", ["anger", "fear", "joy"], ["anger", "fear"])
    with pytest.raises(InputError, match="label 'fear' is not among the classes anger, joy"):
        make(train, test_path=test).fit()


def test_a_hub_name_is_read_once(tmp_path, monkeypatch):
    folder, load, asked = hub_folder(tmp_path / "hub"), datasets.load_dataset, []

    def hub(path, **options):
        asked.append((path, options["name"], options["revision"]))
        return load(folder, cache_dir=options["cache_dir"])

    monkeypatch.setattr(datasets, "load_dataset", hub)
    for _ in range(2):
        assert make("someone/films", subset="plain", revision="v1").class_names == ["neg", "pos"]
    assert asked == [("someone/films", "plain", "v1")]
    assert make("someone/films", subset="plain", revision="v2").num_outputs == 2
    assert len(asked) == 2


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        (
            ConnectionError("no route"),
            InputError,
            "cannot reach the Hub for 'someone/films'.*hf down",
        ),
        (datasets.exceptions.DatasetNotFoundError("x"), MissingInputError, "neither a file"),
        (ValueError("Config name is missing"), InputError, "Config name is missing"),
    ],
)
def test_what_the_hub_refuses_is_said_with_what_to_do(error, kind, message, monkeypatch):
    def hub(path, **options):
        raise error

    monkeypatch.setattr(datasets, "load_dataset", hub)
    with pytest.raises(kind, match=message):
        make("someone/films").fit()


def test_test_path_and_test_size(table, tmp_path):
    other = write_csv(tmp_path / "more.csv", reviews(20, seed=3))
    data = make(table, test_path=other)
    assert len(data.test_dataloader().inputs) == 20
    assert len(make(table, test_size=0.5).test_dataloader().inputs) == 30
    with pytest.raises(InputError, match="not both"):
        make(table, test_path=other, test_size=5)
    with pytest.raises(InputError, match="Give test_path or test_size"):
        make(table).test_dataloader()


def test_duplicates_across_parts_are_counted_and_removed_if_asked(table, tmp_path, capsys):
    other = write_csv(tmp_path / "more.csv", reviews()[:10] + reviews(20, seed=3))
    data = make(table, test_path=other, val_size=None)
    assert len(data.train_dataloader().inputs) == 60
    assert "10 in both test and training" in capsys.readouterr().out
    data = make(table, test_path=other, val_size=None, drop_duplicates=True)
    assert len(data.train_dataloader().inputs) == 50


# Cache, checkpoint, trial run --------------------------------------------------------------------


def test_the_second_time_the_loader_is_not_called(table, monkeypatch):
    first = dense(make(table), "val")
    monkeypatch.delattr(datasets, "load_dataset")
    assert torch.equal(dense(make(table), "val"), first)


def test_changed_content_is_read_again(table, tmp_path):
    make(table).fit()
    write_csv(tmp_path / "reviews.csv", [(f"new {row}", row % 2) for row in range(8)])
    assert "new" in make(table).vocabulary.words


def test_nothing_but_the_corpus_is_kept(table, tmp_path):
    make(table).fit()
    assert [path.name for path in cache_dir().iterdir()] == ["text"]
    assert [path.name for path in tmp_path.iterdir()] == ["reviews.csv"]


def test_pairs_of_words_are_terms_of_their_own(table):
    data = make(table, num_words=None, ngrams=2, min_df=2, val_size=None)
    assert {"good", "good film"} <= set(data.vocabulary.words)
    pair = data.vocabulary.ngram_ids["good film"]
    (inputs, targets), *_ = data.train_dataloader()
    assert torch.equal(inputs.to_dense(*data.input_shape)[:, pair].long(), targets)
    single = make(table, num_words=None, min_df=2, val_size=None)
    assert set(single.vocabulary.words) == {
        term for term in data.vocabulary.words if " " not in term
    }


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"ngrams": 0}, "ngrams must be 1 to 3"),
        ({"ngrams": 4}, "ngrams must be 1 to 3"),
        ({"min_df": 0}, "min_df must be 1 or more"),
    ],
)
def test_impossible_terms_are_refused(table, arguments, message):
    with pytest.raises(InputError, match=message):
        make(table, **arguments)


def test_no_term_that_is_frequent_enough(table):
    with pytest.raises(InputError, match="no word that 1000 of them have"):
        make(table, min_df=1000).fit()


@pytest.mark.parametrize("encoding", ["multi_hot", "tfidf", "sublinear_tfidf"])
def test_new_texts_need_the_state_alone(table, tmp_path, encoding):
    data = make(table, encoding=encoding, max_length=7)
    state = pickle.loads(pickle.dumps(data.state_dict()))
    new = tmp_path / "new.txt"
    new.write_text("A good film\nunheard of\n!\n")
    (tmp_path / "reviews.csv").unlink()
    restored = make(table, predict_path=str(new))
    restored.load_state_dict(state)
    ((inputs, targets),) = restored.predict_dataloader()
    assert targets is None
    rows = inputs.to_dense(NUM_WORDS)
    known = [4, 2, 1] if encoding == "multi_hot" else [3, 0, 0]  # tf-idf: of known words alone
    assert (rows > 0).sum(dim=1).tolist() == known
    assert restored.encode_text("A good film") == data.encode_text("A good film")
    assert restored.class_names == ["bad", "good"]
    if encoding != "multi_hot":
        torch.testing.assert_close(rows.norm(dim=1), torch.tensor([1.0, 0.0, 0.0]))


def test_sequences_of_new_texts_need_the_state_alone(table, tmp_path):
    options = {"ngrams": 2, "encoding": "sublinear_tfidf", "num_words": 200}
    data = make(table, **options)
    state = pickle.loads(pickle.dumps(data.state_dict()))
    new = tmp_path / "new.txt"
    new.write_text(f"{reviews()[3][0]}\nfilm good\n")
    (tmp_path / "reviews.csv").unlink()
    restored = make(table, predict_path=str(new), num_words=200)
    restored.load_state_dict(state)
    ((inputs, _),) = restored.predict_dataloader()
    pair = data.vocabulary.ngram_ids["good film"]
    assert (inputs.to_dense(200)[:, pair] > 0).tolist() == [True, False]


def test_a_table_of_texts_alone_is_predicted(table, tmp_path):
    new = write_csv(tmp_path / "new.csv", [("good",), ("bad",)], ("text",))
    ((inputs, _),) = make(table, predict_path=new).predict_dataloader()
    assert len(inputs.offsets) == 2


@pytest.mark.parametrize(
    "names", [["2024-05.csv", "test-site.csv"], ["test.csv", "train.csv"], ["dev_x.csv"]]
)
def test_all_tables_of_a_folder_are_predicted(names, table, tmp_path):
    (tmp_path / "new").mkdir()
    for name in names:
        write_csv(tmp_path / "new" / name, [("good",), ("bad",)], ("text",))
    found = make(table, predict_path=str(tmp_path / "new")).examples("predict")
    assert found.names == [name for name in names for _ in range(2)]


def test_what_is_left_out_of_a_prediction_is_said(table, tmp_path, capsys):
    (tmp_path / "new").mkdir()
    write_csv(tmp_path / "new" / "a.csv", [("good",)], ("text",))
    (tmp_path / "new" / "b.txt").write_text("A bad film")
    assert make(table, predict_path=str(tmp_path / "new")).examples("predict").count == 1
    assert "left out, since other files are tables: b.txt" in capsys.readouterr().out


def test_a_folder_to_test_on_may_hold_a_validation_part_alone(table, tmp_path):
    (tmp_path / "new").mkdir()
    write_csv(tmp_path / "new" / "dev.csv", reviews(10, seed=2))
    assert make(table, test_path=str(tmp_path / "new")).examples("test").count == 10


def test_an_empty_line_to_predict_is_named(table, tmp_path):
    new = tmp_path / "new.txt"
    new.write_text("good\n\nbad\n")
    with pytest.raises(InputError, match=r"new.txt: line 2 of the file has no text"):
        make(table, predict_path=str(new)).predict_dataloader()


class Classifier(lightning.LightningModule):
    """A linear model of a bag of words."""

    def __init__(self, num_words):
        super().__init__()
        self.linear = nn.Linear(num_words, 3)

    def training_step(self, batch, _):
        inputs, targets = batch
        return nn.functional.cross_entropy(self.linear(inputs.to_dense(NUM_WORDS)), targets)

    def validation_step(self, batch, _):
        self.training_step(batch, _)

    def predict_step(self, batch, _):
        return self.linear(batch[0].to_dense(NUM_WORDS))

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


def trainer(folder, **arguments):
    return lightning.Trainer(
        accelerator="cpu",
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=folder,
        **{"max_epochs": 1, **arguments},
    )


def test_a_checkpoint_predicts_where_the_training_data_is_gone(table, tmp_path):
    fitted = trainer(tmp_path)
    fitted.fit(Classifier(NUM_WORDS), datamodule=make(table))
    fitted.save_checkpoint(tmp_path / "last.ckpt")
    (tmp_path / "reviews.csv").unlink()
    (tmp_path / "new.txt").write_text("A good film\nA bad film\n")
    data = make(table, predict_path=str(tmp_path / "new.txt"))
    (logits,) = trainer(tmp_path).predict(
        Classifier(NUM_WORDS), datamodule=data, ckpt_path=tmp_path / "last.ckpt"
    )
    assert logits.shape == (2, 3)


def test_a_trial_run_reads_a_sample_and_a_real_one_everything(tmp_path):
    rows = reviews(SAMPLE_SIZE * 2)
    rows.append(("the only fair one", "fair"))
    data = make(write_csv(tmp_path / "many.csv", rows), val_size=900, batch_size=64)
    trainer(tmp_path, fast_dev_run=True).fit(Classifier(NUM_WORDS), datamodule=data)
    assert not list(cache_dir().iterdir())
    assert len(data.train_dataloader().inputs) < SAMPLE_SIZE
    assert data.class_names == ["bad", "fair", "good"]
    data = make(write_csv(tmp_path / "many.csv", rows[:-1]), val_size=900, batch_size=64)
    trainer(tmp_path, fast_dev_run=True).fit(Classifier(NUM_WORDS), datamodule=data)
    trainer(tmp_path).fit(Classifier(NUM_WORDS), datamodule=data)
    assert len(data.train_dataloader().inputs) == SAMPLE_SIZE * 2 - 900
    assert (cache_dir() / "text").is_dir()


# What was understood ------------------------------------------------------------------------------


def test_the_reading_shows_columns_lengths_and_a_sample(tmp_path):
    rows = [(f"A <b>good</b> film, {row % 7}", "good", row) for row in range(20)]
    rows += [("bad", "Bad", 3), ("bad", "bad", 4), ("?!", "bad", 5), ("caf\u00c3\u00a9", "good", 6)]
    data = make(write_csv(tmp_path / "films.csv", rows, ("text", "label", "n")), val_size=6)
    for _ in range(2):  # read, then from the cache
        reading = data.reading()
        kinds = [(column.name, column.kind) for column in reading.input.columns]
        assert kinds == [("text", "text"), ("label", "target"), ("n", "left out")]
        facts = dict(reading.input.facts)
        assert facts["texts"].startswith("6 words in the median, 6 in the longest")
        assert facts["known"].endswith("of the words of the validation part")
        (sample,) = reading.input.samples
        steps = dict(sample.steps)
        assert steps["text"] in {text for text, *_ in rows}
        assert steps["back"].startswith("? ")
        notes = "\n".join(reading.input.notes)
        for said in (
            "the classes 'Bad' and 'bad' differ by upper and lower case",
            "of the texts hold HTML tags, such as '<b>'",
            "wrong encoding",
            "1 texts hold no word, such as '?!'",
            "1 texts stand in several rows with different labels",
        ):
            assert said in notes
        data = make(str(tmp_path / "films.csv"), val_size=6)


def test_the_reading_says_that_labels_mix_numbers_and_text(tmp_path):
    path = write_jsonl(tmp_path, [("a", 1), ("b", "two"), ("c", 1), ("d", "two")])
    (note,) = make(path, val_size=None).reading().input.notes
    assert "mixes numbers (2 rows, such as 1) and text (2, such as 'two')" in note


def test_the_reading_has_the_notes_of_a_test_file_too(table, tmp_path):
    rows = [*reviews(10, seed=1), ("nothing said of it", "")]
    other = write_csv(tmp_path / "other.csv", rows)
    reading = make(table, test_path=other, drop_unlabelled=True).reading()
    assert "of the test part: 1 rows without a label are left out" in reading.input.notes
