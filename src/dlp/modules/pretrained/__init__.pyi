from .backbone import Backbone
from .module import PretrainedModule
from .network import Features, PretrainedNet

__all__ = ["Backbone", "Features", "PretrainedModule", "PretrainedNet"]
