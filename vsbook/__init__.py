"""Neural networks as linear algebra, measured claim by claim.

Importing `vsbook` loads nothing else; each wing is imported by its own name, and lists in `dir` what it offers:

- `vsbook.linalg`: matrices and their four subspaces, convolutions, activations, what chance gives. No PyTorch.
- `vsbook.networks`: MNIST, the networks, any network's layers as matrices, training and checkpoints.
- `vsbook.inversion`: from an output back to an image, with proofs where there is none; ideal images.
- `vsbook.ledger`: claims and measurements; `vsbook.plots`: pictures; `vsbook.cli`: the command line.
"""

WINGS = ("linalg", "networks", "inversion", "ledger", "plots")


def __dir__() -> list[str]:
    """The wings, and `__version__`."""
    return [*WINGS, "__version__"]


def __getattr__(name: str) -> object:
    """A wing, or `vsbook.__version__`, that of the installed package: when it is asked for, for a quick import."""
    if name in WINGS:
        from importlib import import_module

        return import_module(f"vsbook.{name}")
    if name == "__version__":
        from importlib.metadata import PackageNotFoundError, version

        try:
            return version("vsbook")
        except PackageNotFoundError:
            remedy = "pip install the checkout"
            raise AttributeError(f"vsbook.__version__: expected an installed vsbook, found none; {remedy}") from None
    raise AttributeError(f"module 'vsbook' has no attribute {name!r}")
