"""Labelled images: the digits that come with scikit-learn, MNIST, Fashion-MNIST, and any .npz of the same layout."""

from velodrome.envs.datasets.checks import DatasetError
from velodrome.envs.datasets.dataset import Dataset, LabelledExamples
from velodrome.envs.datasets.loading import DATASETS, load_dataset

__all__ = ["DATASETS", "Dataset", "DatasetError", "LabelledExamples", "load_dataset"]
