"""Pictures of what one agent learnt of every state: values, arrows and visits on the map."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
