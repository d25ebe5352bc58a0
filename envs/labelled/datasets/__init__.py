"""Labelled images: the digits that come with scikit-learn, MNIST, Fashion-MNIST, and any .npz of the same layout."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
