from .augmentation import RandomAffine as RandomAffine
from .cats_dogs import CatsVsDogsDataModule as CatsVsDogsDataModule
from .mnist import MNISTDataModule as MNISTDataModule
from .own_images import ImageFolderDataModule as ImageFolderDataModule
