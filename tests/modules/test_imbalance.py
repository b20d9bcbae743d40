"""Rare classes: weights in the loss, thresholds, and metrics that no majority fools."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from lightning import Trainer
from sklearn import metrics as sk
from sklearn.utils.class_weight import compute_class_weight

from dlp.datamodules import ArrayDataModule, TextDataModule
from dlp.datamodules.known_rows import true_columns
from dlp.errors import InputError
from dlp.modules import DenseModule, MultilabelHead, RegressionHead, SigmoidHead, SoftmaxHead
from dlp.modules.heads import make_head
from dlp.modules.thresholds import best_threshold

random = np.random.default_rng(0)
N = 60
X = random.normal(size=(N, 4)).astype(np.float32)
RARE = (X[:, 0] + 0.3 * random.normal(size=N) > 1.2).astype(int)
THREE = random.choice(3, p=[0.1, 0.2, 0.7], size=N)
LABELS = (random.uniform(size=(N, 3)) < [0.1, 0.5, 0.8]).astype(int)
SHARES = {"sigmoid": [1 - RARE.mean(), RARE.mean()], "softmax": np.bincount(THREE) / N}


def trainer(tmp_path, epochs=2, **arguments):
    return Trainer(
        max_epochs=epochs,
        accelerator="cpu",
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=tmp_path,
        num_sanity_val_steps=0,
        **arguments,
    )


# Weights in the loss ---------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "y"), [("sigmoid", RARE), ("softmax", THREE)])
@pytest.mark.parametrize("given", ["balanced", {"1": 7.5}])
def test_the_loss_is_the_mean_of_weight_times_loss(name, y, given):
    """`balanced` as scikit-learn has it; the sum is divided by samples, not by weights."""
    head = make_head(name, 3 if name == "softmax" else 2)
    logits = torch.randn(N, head.num_logits, generator=torch.Generator().manual_seed(0))
    targets = head.prepare(torch.from_numpy(y))
    plain = head.loss
    head.weigh(given, None, SHARES[name])
    if given == "balanced":
        weights = compute_class_weight("balanced", classes=np.unique(y), y=y)[y]
    else:
        weights = np.where(y == 1, 7.5, 1.0)
    each = torch.stack([plain(logits[n : n + 1], targets[n : n + 1]) for n in range(N)])
    expected = (torch.from_numpy(weights).float() * each).mean()
    torch.testing.assert_close(head.loss(logits, targets), expected)


def test_balanced_labels_are_balanced_each_by_itself():
    head, shares = MultilabelHead(3), LABELS.mean(axis=0)
    logits = torch.randn(N, 3, generator=torch.Generator().manual_seed(0))
    head.weigh("balanced", None, shares.tolist())
    weights = np.where(LABELS, 1 / (2 * shares), 1 / (2 * (1 - shares)))
    targets = torch.from_numpy(LABELS).float()
    each = F.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    expected = (torch.from_numpy(weights).float() * each).mean()
    torch.testing.assert_close(head.loss(logits, targets), expected)


@pytest.mark.parametrize("name", ["sigmoid", "softmax", "multilabel"])
def test_the_constant_that_a_weighted_loss_likes_best(name):
    y = {"sigmoid": RARE, "softmax": THREE, "multilabel": LABELS}[name]
    head = make_head(name, 2 if name == "sigmoid" else 3)
    shares = LABELS.mean(axis=0) if name == "multilabel" else SHARES[name]
    head.weigh("balanced", None, list(shares))
    best = torch.tensor(head.constant(list(shares)))
    targets = head.prepare(torch.from_numpy(y))

    def loss(chances):
        logits = chances.log() if name == "softmax" else chances.logit()
        logits = logits[1:] if name == "sigmoid" else logits
        return head.loss(logits.float().expand(N, -1), targets)

    for other in (0.9, 1.1):
        moved = best * torch.tensor([other, *[1.0] * (len(best) - 1)])
        if name == "sigmoid":
            moved[1] = 1 - moved[0]
        assert loss(best) < loss(moved / (moved.sum() if name == "softmax" else 1))


def test_a_fit_takes_frequencies_and_names_from_its_data_and_a_checkpoint_keeps_them(tmp_path):
    data = ArrayDataModule(X, RARE, class_names=["ok", "fraud"], stratify=True)
    model = DenseModule((4,), 2, class_weight="balanced", metrics=["acc"])
    fitted = trainer(tmp_path)
    fitted.fit(model, data)
    shares = data.target_summary["frequencies"]
    assert model.head.loss.weights.tolist() == pytest.approx([1 / (2 * share) for share in shares])
    path = fitted.checkpoint_callback.best_model_path
    again = DenseModule.load_from_checkpoint(path)
    assert again.class_names == ["ok", "fraud"]
    assert torch.equal(again.head.loss.weights, model.head.loss.weights)
    assert again.state_dict().keys() == model.state_dict().keys()
    assert not any("weights" in name for name in model.state_dict())  # as in older checkpoints


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            {"class_weight": {"frad": 3.0}},
            "unknown class of class_weight 'frad'. Did you",
        ),
        ({"class_weight": {"fraud": -1.0}}, "must be 0 or more, got -1"),
        ({"class_weight": "ballanced"}, "class_weight must be balanced, or a weight for each"),
        ({"class_weight": "balanced", "head": "regression"}, "is for classes, and RegressionHead"),
        ({"class_weight": "balanced", "loss": "mse"}, "weighs the losses bce and cross_entropy"),
        ({"threshold": 0.3}, "threshold is for head: sigmoid .* give head: sigmoid"),
        ({"threshold": 1.3, "head": "sigmoid"}, r"must be a number of 0 to 1, f1, or .* got 1.3"),
        ({"threshold": {"false_alarm": 3.0}, "head": "sigmoid"}, "unknown cost of threshold"),
    ],
)
def test_wrong_arguments_are_said_before_training(tmp_path, arguments, said):
    data = ArrayDataModule(X, RARE, class_names=["ok", "fraud"], stratify=True)
    with pytest.raises(InputError, match=said):
        trainer(tmp_path).fit(DenseModule((4,), 2, **arguments), data)


@pytest.mark.filterwarnings("ignore:You defined a `validation_step`")
def test_balanced_without_a_datamodule_is_refused(tmp_path):
    loader = torch.utils.data.DataLoader(list(zip(X, RARE, strict=True)), 8)
    with pytest.raises(InputError, match="balanced needs to know how frequent the classes are"):
        trainer(tmp_path).fit(DenseModule((4,), 2, class_weight="balanced"), loader)


# Thresholds ------------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", ["f1", {"false_negative": 9.0}, {"false_positive": 4.0}])
@pytest.mark.parametrize("seed", range(5))
def test_the_chosen_threshold_is_the_best_of_all(rule, seed):
    draw = np.random.default_rng(seed)
    targets = draw.uniform(size=40) < 0.2
    chances = np.round(np.clip(targets * 0.3 + draw.uniform(size=40) * 0.7, 0, 1), 2)
    chances = chances.astype(np.float32)  # with equal ones among them

    def worth(threshold):
        given = chances > threshold
        if rule == "f1":
            return sk.f1_score(targets, given, zero_division=0)
        missed, alarms = (targets & ~given).sum(), (given & ~targets).sum()
        return -(rule.get("false_negative", 1) * missed + rule.get("false_positive", 1) * alarms)

    found = best_threshold(chances, targets, rule)
    decisions = {(chances > each).tobytes(): each for each in np.linspace(0, 1, 1001)}
    assert worth(found) == pytest.approx(max(map(worth, decisions.values())))
    assert found == np.float32(found)


def test_f1_is_reported_where_the_threshold_is_chosen_for_it():
    def names(head, **given):
        return {*DenseModule((4,), 2, head, **given).head.make_metrics()}

    assert names("sigmoid", threshold="f1") == names("multilabel", threshold="f1") == {"acc", "f1"}
    assert names("sigmoid", threshold="f1", metrics=["recall"]) == {"recall"}
    assert names("sigmoid", threshold=0.3) == {"acc"}


def test_a_fit_chooses_by_its_validation_and_a_checkpoint_brings_it_to_test(tmp_path):
    """The metrics of each validation go by its threshold; so do test and loaded models."""
    data = ArrayDataModule(X, RARE, stratify=True, test_size=0.3, val_size=0.4)
    metrics = ["acc", "f1", "recall", "balanced_acc"]
    model = DenseModule((4,), 2, "sigmoid", threshold="f1", metrics=metrics)
    fitted = trainer(tmp_path)
    fitted.fit(model, data)
    targets = data.val_dataloader().targets.numpy()
    with torch.no_grad():
        chances = model.eval().head.predict(model(data.inputs("val")))[:, 1].numpy()
    assert model.head.threshold == best_threshold(chances, targets > 0, "f1") != 0.5
    given = chances > model.head.threshold
    logged = fitted.callback_metrics
    assert float(logged["val_f1"]) == pytest.approx(sk.f1_score(targets, given))
    assert float(logged["val_recall"]) == pytest.approx(sk.recall_score(targets, given))
    path = fitted.checkpoint_callback.best_model_path
    again = DenseModule.load_from_checkpoint(path)
    assert again.head.threshold == model.head.threshold
    tested = trainer(tmp_path).test(again, data, verbose=False)[0]
    truth = data.test_dataloader().targets.numpy()
    with torch.no_grad():
        found = again.head.decide(again.eval().head.predict(again(data.inputs("test")))).numpy()
    assert tested["test_balanced_acc"] == pytest.approx(sk.balanced_accuracy_score(truth, found))
    trainer(tmp_path).validate(again, data, verbose=False)
    assert again.head.threshold == model.head.threshold  # chosen within a fit alone
    fixed = DenseModule.load_from_checkpoint(path, threshold=0.25)
    assert fixed.head.threshold == 0.25
    assert DenseModule.load_from_checkpoint(path, threshold="f1").head.threshold_rule == "f1"


def test_a_threshold_to_be_chosen_needs_a_validation_part(tmp_path):
    data = ArrayDataModule(X, RARE, val_size=None)
    with pytest.raises(InputError, match="f1 is chosen on the validation part, and there is none"):
        trainer(tmp_path).fit(DenseModule((4,), 2, "sigmoid", threshold="f1"), data)


def test_one_threshold_for_all_labels():
    head = MultilabelHead(3, metrics=["acc", "f1", "recall"])
    head.use_threshold(0.3)
    logits = torch.randn(N, 3, generator=torch.Generator().manual_seed(0))
    found = head.make_metrics()
    found.update(head.scores(logits), torch.from_numpy(LABELS))
    given = head.decide(head.predict(logits)).numpy()
    assert np.array_equal(given, logits.sigmoid().numpy() > 0.3)
    values = {name: value.item() for name, value in found.compute().items()}
    assert values["acc"] == pytest.approx((given == LABELS).mean())
    assert values["f1"] == pytest.approx(sk.f1_score(LABELS, given, average="macro"))
    assert values["recall"] == pytest.approx(sk.recall_score(LABELS, given, average="macro"))


# Metrics ---------------------------------------------------------------------------------------


def test_balanced_accuracy_and_average_precision_are_scikit_learns():
    names = ["balanced_acc", "average_precision"]
    z = torch.randn(N, 3, generator=torch.Generator().manual_seed(1))
    for head, logits, y in (
        (SigmoidHead(metrics=names), z[:, :1], RARE),
        (SoftmaxHead(3, metrics=names), z, THREE),
        (MultilabelHead(3, metrics=names), z, LABELS),
    ):
        found = head.make_metrics()
        for rows in np.array_split(np.arange(N), 4):
            targets = head.metric_targets(head.prepare(torch.from_numpy(y[rows])))
            found.update(head.scores(logits[rows]), targets)
        values = {name: value.item() for name, value in found.compute().items()}
        chances = head.predict(logits)
        chosen, chances = head.decide(chances).numpy(), chances.numpy()
        if y is LABELS:
            each = [sk.balanced_accuracy_score(y[:, n], chosen[:, n]) for n in range(3)]
            precision = sk.average_precision_score(y, chances)
        else:
            each = [sk.balanced_accuracy_score(y, chosen)]
            one_hot = np.eye(3)[y] if y is THREE else y
            precision = sk.average_precision_score(
                one_hot, chances if y is THREE else chances[:, 1]
            )
        assert values["balanced_acc"] == pytest.approx(np.mean(each))
        assert values["average_precision"] == pytest.approx(precision, rel=1e-5)


def test_a_class_without_rows_does_not_count():
    head = SoftmaxHead(3, metrics="balanced_acc")
    found = head.make_metrics()
    found.update(torch.eye(3)[[0, 0, 1, 2]], torch.tensor([0, 0, 1, 1]))
    assert found.compute()["balanced_acc"].item() == pytest.approx(0.75)


def test_values_have_neither_weights_nor_threshold():
    with pytest.raises(InputError, match="threshold is for head: sigmoid"):
        RegressionHead(1).use_threshold(0.3)


# The positive class ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("y", "names", "positive", "expected"),
    [
        (np.where(RARE, "fraud", "ok"), None, None, ["fraud", "ok"]),
        (np.where(RARE, "fraud", "ok"), None, "fraud", ["ok", "fraud"]),
        (RARE, None, 0, ["1", "0"]),
        (RARE, ["ok", "fraud"], "ok", ["fraud", "ok"]),
        (RARE.astype(bool), None, "False", ["True", "False"]),
        (np.eye(2, dtype=int)[RARE], None, "0", ["1", "0"]),
    ],
)
def test_the_positive_class_is_class_1(y, names, positive, expected):
    arguments = {"class_names": names, "val_size": None, "split_seed": None}
    data = ArrayDataModule(X, y, positive_class=positive, **arguments)
    assert data.class_names == expected
    targets = data.train_dataloader().targets
    targets = targets.argmax(1) if targets.ndim == 2 else targets
    called = np.array(expected)[targets.numpy()]
    assert np.array_equal(called == called[RARE.argmax()], RARE.astype(bool))
    again = ArrayDataModule(X, y, **arguments)
    again.load_state_dict(data.state_dict())
    assert again.class_names == expected
    restored = again.train_dataloader().targets
    assert torch.equal(restored.argmax(1) if restored.ndim == 2 else restored, targets)
    assert true_columns(data.targets, y)["true"] == called.tolist()


@pytest.mark.parametrize(
    ("y", "positive", "said"),
    [
        (np.where(RARE, "fraud", "ok"), "frud", "no class 'frud'. Did you mean 'fraud'?"),
        (THREE, "1", "positive_class is for two classes; the data has 3"),
        (X[:, 0], "1", "positive_class is for two classes, and the task is regression"),
    ],
)
def test_a_wrong_positive_class_is_refused(y, positive, said):
    with pytest.raises(InputError, match=said):
        _ = ArrayDataModule(X, y, positive_class=positive).num_outputs


def test_another_positive_class_than_the_runs_is_refused():
    y = np.where(RARE, "fraud", "ok")
    state = ArrayDataModule(X, y, positive_class="fraud").state_dict()
    with pytest.raises(InputError, match="positive_class is 'ok', and the run was trained with 'f"):
        ArrayDataModule(X, y, positive_class="ok").load_state_dict(state)


def test_texts_have_a_positive_class_too(tmp_path):
    rows = ["text,label", *(f"word{n},{'spam' if n % 9 == 0 else 'ham'}" for n in range(30))]
    (tmp_path / "mails.csv").write_text("\n".join(rows))
    data = TextDataModule(str(tmp_path / "mails.csv"), positive_class="ham", val_size=None)
    assert data.class_names == ["spam", "ham"]
    assert sorted(data.train_dataloader().targets.tolist()) == [0] * 4 + [1] * 26
