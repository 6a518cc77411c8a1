"""From an output back to an image: by layers, as a whole, within bounds and with proofs; ideal images.

What the wing offers stands in `__init__.pyi`, room by room; a name is loaded when it is asked for.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
