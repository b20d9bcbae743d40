"""Feature extraction and fine-tuning with a pretrained backbone (chapter 5.3)."""

from collections.abc import Sequence
from typing import Any, Literal, Unpack

from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import StochasticWeightAveraging
from torch import Tensor, nn
from torch.optim.lr_scheduler import CyclicLR, OneCycleLR

from dlp.errors import InputError
from dlp.modules.base import SupervisedModule
from dlp.modules.heads import Head, HeadName
from dlp.modules.networks import Activation
from dlp.modules.penalties import kernels
from dlp.modules.pretrained.backbones import Backbone, ImageScaling
from dlp.modules.pretrained.network import Pool, PretrainedNet, check_colour_images
from dlp.modules.shared_arguments import TrainingArguments


class PretrainedModule(SupervisedModule):
    """A pretrained backbone, frozen or in part trained, and a dense stack, under a head.

    The optimizer has two groups, whatever is frozen: ``head`` and ``backbone``. A schedule that
    sets one rate for all groups (one-cycle, cyclic) keeps the ratio that `backbone_lr` makes.

    A checkpoint holds the whole model; loading one never downloads weights.

    Args:
        input_shape: Shape of one image, (3, H, W); from the data in the CLI.
        num_outputs: Number of classes (2 for binary), labels or target columns; from the data in
            the CLI.
        head: The kind of problem.
        backbone: Any classification network of torchvision: ``vgg16``, ``resnet50`` ...
        weights: A torchvision name (``DEFAULT``, ``IMAGENET1K_V1``), the path of a state dict (of
            the whole network or its features alone), or null for random ones.
        trainable_stages: How many of the deepest stages are trained; ``all`` trains all.
        pool: ``avg`` takes each channel's mean over the map, ``flatten`` takes the whole map.
        hidden: Units of each dense layer before the last; none gives a linear model.
        activation: After each hidden layer.
        dropout: Rate after each hidden layer, in [0, 1).
        scaling: ``weights`` normalises images as the weights' own transforms do; ``unit`` leaves
            them in [0, 1], which is the book's plain 1/255.
        backbone_lr: Learning rate of the backbone; null takes the optimizer's own.
        **training: See `SupervisedModule`.
    """

    network: PretrainedNet
    fetches_weights = True

    def __init__(
        self,
        input_shape: Sequence[int],
        num_outputs: int,
        head: HeadName | Head = "softmax",
        backbone: str = "vgg16",
        weights: str | None = "DEFAULT",
        trainable_stages: int | Literal["all"] = 0,
        pool: Pool = "avg",
        hidden: Sequence[int] = (256,),
        activation: Activation = "relu",
        dropout: float = 0.0,
        scaling: ImageScaling = "weights",
        backbone_lr: float | None = None,
        **training: Unpack[TrainingArguments],
    ) -> None:
        if backbone_lr is not None and backbone_lr <= 0:
            raise InputError(
                f"backbone_lr must be above 0, got {backbone_lr}. To train no stage of the "
                "backbone, use trainable_stages: 0."
            )
        check_colour_images(input_shape)
        super().__init__(
            lambda width: PretrainedNet(
                Backbone(backbone, weights, trainable_stages, scaling, min(input_shape[1:])),
                input_shape,
                width,
                pool,
                hidden,
                activation,
                dropout,
            ),
            head,
            num_outputs,
            input_shape=input_shape,
            **training,
        )
        self.backbone_lr = backbone_lr
        self.save_plain_arguments()
        self.hparams["weights"] = None  # they are in the checkpoint: restoring downloads nothing

    def penalised_kernels(self) -> list[Tensor]:
        """Return the weights that L1 and L2 act on: those of the dense stack but the last."""
        return kernels(self.network.classifier)

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Return the groups ``head`` and ``backbone``, with all their parameters."""
        head = {"params": list(self.network.classifier.parameters()), "name": "head"}
        backbone = {"params": list(self.network.backbone.parameters()), "name": "backbone"}
        rate = {} if self.backbone_lr is None else {"lr": self.backbone_lr}
        return [head, {**backbone, **rate}]

    def configure_optimizers(self) -> Any:
        """Return the optimizer and the scheduler, which keeps the ratio of the groups' rates."""
        configured = super().configure_optimizers()
        if self.backbone_lr is not None and isinstance(configured, dict):
            _keep_ratio(configured["lr_scheduler"]["scheduler"], self.backbone_lr)
        return configured

    def configure_callbacks(self) -> list[Callback]:
        """Return what keeps Lightning from warning of the frozen stages' evaluation mode.

        Raises:
            InputError: Another callback would spoil the frozen stages.
        """
        callbacks = self.trainer.callbacks  # type: ignore[attr-defined] # set by a connector
        averages = any(isinstance(each, StochasticWeightAveraging) for each in callbacks)
        frozen = self.network.backbone.frozen_modules()
        norms = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)
        if averages and any(isinstance(each, norms) for each in frozen):
            raise InputError(
                "StochasticWeightAveraging sets the statistics of batch normalisation to 0 and 1, "
                "to compute them anew, and those of frozen stages would stay so. "
                "EMAWeightAveraging leaves them as they are; or train all stages."
            )
        has_one = any(isinstance(each, _MeansEvaluation) for each in callbacks)
        return [] if has_one else [_MeansEvaluation()]

    def on_train_start(self) -> None:
        """Keep `backbone_lr` where Lightning's finder has set its learning rate for all groups."""
        super().on_train_start()
        if self.lr is not None and self.backbone_lr is not None:
            for optimizer in self.trainer.optimizers:
                optimizer.param_groups[1]["lr"] = self.backbone_lr


class _MeansEvaluation(Callback):
    """Lets Lightning, which warns of modules in evaluation mode, see those alone that are no stage.

    It looks at their flags right before ``on_train_start``; until then no stage is trained, and
    what validates sets the mode itself. A filter of warnings would hide modules that a person has
    left in that mode by mistake, and stay where a fit fails before it begins.
    """

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Let the frozen stages look like the others."""
        assert isinstance(pl_module, PretrainedModule)
        for module in pl_module.network.backbone.frozen_modules():
            module.training = True

    def _as_meant(self, trainer: Trainer, pl_module: LightningModule, *_: Any, **__: Any) -> None:
        assert isinstance(pl_module, PretrainedModule)
        for module in pl_module.network.backbone.frozen_modules():
            module.training = False

    #: The last two of a fit that is broken off or trains nothing.
    on_train_start = on_exception = teardown = _as_meant


def _keep_ratio(scheduler: Any, backbone_lr: float) -> None:
    """Scale the rates that a schedule has set for the backbone as if it were the head."""
    if not isinstance(scheduler, OneCycleLR | CyclicLR):
        return
    optimizer = scheduler.optimizer
    head, backbone = optimizer.param_groups
    ratio = backbone_lr / optimizer.defaults["lr"]
    if isinstance(scheduler, CyclicLR):
        for rates in (scheduler.base_lrs, scheduler.max_lrs):
            if rates[0] == rates[1]:
                rates[1] *= ratio
    for key in ("lr", "initial_lr", "max_lr", "min_lr"):
        if key in backbone and backbone[key] == head[key]:
            backbone[key] *= ratio
