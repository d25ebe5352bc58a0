from .checks import DatasetError as DatasetError
from .dataset import Dataset as Dataset
from .dataset import LabelledExamples as LabelledExamples
from .loading import DATASETS as DATASETS
from .loading import load_dataset as load_dataset
