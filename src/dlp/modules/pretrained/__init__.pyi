from .backbones import Backbone as Backbone
from .module import PretrainedModule as PretrainedModule
from .network import PretrainedNet as PretrainedNet
