"""Feature extraction and fine-tuning with a pretrained backbone (chapter 5.3)."""

from collections.abc import Sequence
from typing import Literal

from torch import Tensor

from dlp.hyperparameters import Keywords
from dlp.modules.heads import Head, HeadName
from dlp.modules.networks import Activation
from dlp.modules.optimizers import ParameterGroup
from dlp.modules.pretrained.backbone import Backbone
from dlp.modules.pretrained.network import Pool, PretrainedNet
from dlp.modules.supervised import SupervisedModule, TrainingArguments, penalised_kernels


class PretrainedModule(SupervisedModule):
    """`PretrainedNet` with a head.

    The optimizer has the parameter groups ``head`` and ``backbone``. They contain all parameters,
    including frozen ones, so that stages can be unfrozen during training. A checkpoint contains the
    whole model, so restoring it downloads nothing.

    Args:
        input_shape: Shape of one image, (3, H, W). On the command line it comes from the data.
        num_outputs: Number of classes (2 for binary), labels or target columns. On the command
            line it comes from the data.
        head: Kind of problem, by the name of a head; or a `Head`.
        backbone: Network from torchvision (``vgg16``, ``resnet50``, ...) or from timm
            (``timm/convnext_tiny``, ...), or the import path of a subclass of `Backbone`.
        weights: Name of published weights (``DEFAULT``, ``IMAGENET1K_V1``, or a tag in timm), the
            path of a state dict of the network or of its features, or null for random weights.
        trainable_stages: Number of stages that are trained, counted from the deepest one, or
            ``all``.
        pool: ``avg`` takes the mean of each feature map, ``flatten`` takes all values.
        hidden: Number of units in each hidden layer; an empty list gives a linear model.
        activation: Activation after each hidden layer.
        dropout: Dropout rate after each hidden layer.
        scaling: How images in [0, 1] are standardised. ``weights`` uses the mean and standard
            deviation with which the weights were trained. For weights from a file and for random
            weights, they are those of ``DEFAULT``. The name of published weights uses the mean and
            standard deviation of these weights. ``unit`` leaves the images in [0, 1], as the book
            does.
        backbone_lr: Learning rate of the backbone. null means the learning rate of the optimizer.
        **training: See `SupervisedModule`.
    """

    network: PretrainedNet

    def __init__(
        self,
        input_shape: Sequence[int],
        num_outputs: int,
        head: HeadName | Head = "softmax",
        backbone: type[Backbone] | str = "vgg16",
        weights: str | None = "DEFAULT",
        trainable_stages: int | Literal["all"] = 0,
        pool: Pool = "avg",
        hidden: Sequence[int] = (256,),
        activation: Activation = "relu",
        dropout: float = 0.0,
        scaling: str = "weights",
        backbone_lr: float | None = None,
        **training: Keywords[TrainingArguments],
    ) -> None:
        super().__init__(None, head, num_outputs, input_shape=input_shape, **training)
        kind = Backbone if isinstance(backbone, str) else backbone
        name = getattr(backbone, "__name__", str(backbone))
        # Built last: loading its weights may start a download.
        base = kind(name, weights, trainable_stages, scaling, input_shape[-1])
        num_logits = self.head.num_logits
        self.network = PretrainedNet(
            base, input_shape, num_logits, pool, hidden, activation, dropout
        )
        self.backbone_lr = backbone_lr
        # Saved as None, because a restored module gets its weights from the checkpoint.
        self.save_arguments({**locals(), "weights": None})

    def kernels(self) -> list[Tensor]:
        """Return the kernels of the dense layers except for the last one."""
        return penalised_kernels(self.network.classifier)

    def parameter_groups(self) -> list[ParameterGroup]:
        """Return the parameter groups ``head`` and ``backbone``."""
        head = {"params": self.network.classifier.parameters(), "name": "head"}
        weights = self.network.backbone.parameters()
        backbone: ParameterGroup = {"params": weights, "name": "backbone"}
        if self.backbone_lr is not None:
            backbone["lr"] = self.backbone_lr
        return [head, backbone]
