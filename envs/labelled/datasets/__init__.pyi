from .checks import DatasetError as DatasetError
from .dataset import Dataset as Dataset, LabelledExamples as LabelledExamples
from .loading import DATASETS as DATASETS, load_dataset as load_dataset
