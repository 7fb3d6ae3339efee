"""Models of PyTorch as risks: nothing is exported, products are made by torch on its own device.

>>> import saddlescope as ss                                                                   # doctest: +SKIP
>>> risk = ss.torch.Risk(model, torch.nn.functional.cross_entropy, train_loader)                # doctest: +SKIP
>>> ss.analyze(risk, out="report")                                                             # doctest: +SKIP
"""

from ._data import token_weight
from ._risk import Risk

__all__ = ["Risk", "token_weight"]
