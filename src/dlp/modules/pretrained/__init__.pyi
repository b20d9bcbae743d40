from .backbone import Backbone
from .module import PretrainedModule
from .network import PretrainedNet, StoredFeatures
from .staged import StagedNetwork

__all__ = ["Backbone", "PretrainedModule", "PretrainedNet", "StagedNetwork", "StoredFeatures"]
