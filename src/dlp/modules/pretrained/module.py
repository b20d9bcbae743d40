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

    The optimizer has the groups ``head`` and ``backbone``, with all their parameters, whatever is
    frozen. A checkpoint contains the whole model; restoring it downloads nothing.

    Args:
        input_shape: Shape of one image, (3, H, W); the data sets it on the command line.
        num_outputs: Number of classes (2 for binary), labels or target columns; the data sets it
            on the command line.
        head: Kind of problem.
        backbone: Network of torchvision (``vgg16``, ``resnet50`` ...) or timm
            (``timm/convnext_tiny`` ...), or a subclass of `Backbone` by its import path.
        weights: Name of published weights (``DEFAULT``, ``IMAGENET1K_V1``, a tag of timm), the path
            of a state dict of the network or its features, or null for random weights.
        trainable_stages: Number of the deepest stages that are trained, or ``all``.
        pool: ``avg`` takes the mean of each map, ``flatten`` takes all values.
        hidden: Number of units of each hidden layer; an empty list gives a linear model.
        activation: Activation after each hidden layer.
        dropout: Rate of dropout after each hidden layer.
        scaling: ``weights`` standardises images as the weights' own transforms do, those of a file
            as ``DEFAULT``; a name of weights as theirs; ``unit`` leaves the images in [0, 1], the
            book's plain 1/255.
        backbone_lr: Learning rate of the backbone; null takes the optimizer's.
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
        # The weights come from the checkpoint.
        self.save_arguments({**locals(), "weights": None})

    def kernels(self) -> list[Tensor]:
        """Return the weights of the dense stack but its last layer's."""
        return penalised_kernels(self.network.classifier)

    def parameter_groups(self) -> list[ParameterGroup]:
        """Return the groups ``head`` and ``backbone``."""
        head = {"params": self.network.classifier.parameters(), "name": "head"}
        weights = self.network.backbone.parameters()
        backbone: ParameterGroup = {"params": weights, "name": "backbone"}
        if self.backbone_lr is not None:
            backbone["lr"] = self.backbone_lr
        return [head, backbone]
