"""Neural networks as linear algebra, measured claim by claim.

Importing `vsbook` loads nothing else; each wing is imported by its own name, and lists in `dir` what it offers:

- `vsbook.linalg`: matrices and their four subspaces, convolutions, activations, what chance gives. No PyTorch.
- `vsbook.networks`: MNIST, the networks, any network's layers as matrices, training and checkpoints.
- `vsbook.inversion`: from an output back to an image, with proofs where there is none; ideal images.
- `vsbook.ledger`: claims and measurements; `vsbook.plots`: pictures; `vsbook.cli`: the command line.
"""


def __getattr__(name: str) -> str:
    """`vsbook.__version__`, that of the installed package; looked up when asked for, so that the import stays quick."""
    from importlib.metadata import PackageNotFoundError, version

    if name == "__version__":
        try:
            return version("vsbook")
        except PackageNotFoundError:
            remedy = "pip install the checkout"
            raise AttributeError(f"vsbook.__version__: expected an installed vsbook, found none; {remedy}") from None
    raise AttributeError(f"module 'vsbook' has no attribute {name!r}")
