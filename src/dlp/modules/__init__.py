"""Modules: what knows problems. Plain networks below, thin LightningModules above."""

from dlp.lazy import lazy_exports

__getattr__, __dir__ = lazy_exports(
    __name__,
    {
        "Backbone": "pretrained.backbones",
        "BoundedRegressionHead": "heads",
        "ConvNet": "networks",
        "ConvNetModule": "convnet",
        "DenseModule": "dense",
        "DenseNet": "networks",
        "Dropout": "networks",
        "Head": "heads",
        "KerasRMSprop": "optimizers",
        "MiniXception": "xception",
        "MultilabelHead": "heads",
        "PretrainedModule": "pretrained.module",
        "PretrainedNet": "pretrained.module",
        "RegressionHead": "heads",
        "SigmoidHead": "heads",
        "SoftmaxHead": "heads",
        "SupervisedModule": "base",
        "XceptionModule": "xception",
    },
)
