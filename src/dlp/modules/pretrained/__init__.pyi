from .backbone import Backbone
from .module import PretrainedModule
from .network import PretrainedNet, StoredFeatures

__all__ = ["Backbone", "PretrainedModule", "PretrainedNet", "StoredFeatures"]
