from .linear_q import LinearQ as LinearQ
