from .classification import Classification as Classification
from .classification_vector import ClassificationVectorEnv as ClassificationVectorEnv
from .datasets.checks import DatasetError as DatasetError
from .datasets.dataset import Dataset as Dataset, LabelledExamples as LabelledExamples
from .datasets.loading import DATASETS as DATASETS, load_dataset as load_dataset
from .text import Text as Text
from .texts import TEXTS as TEXTS
