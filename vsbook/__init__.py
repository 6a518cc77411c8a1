"""Neural networks as linear algebra, measured claim by claim.

Importing `vsbook` loads nothing else; each room is imported by its own name:

- pure NumPy: `vsbook.subspaces`, `vsbook.kernels`, `vsbook.activations`, `vsbook.nullmodel`,
  `vsbook.arrangement`
- data and networks: `vsbook.data`, `vsbook.models`, `vsbook.invertible`
- networks as matrices, and training: `vsbook.layers`, `vsbook.training`, `vsbook.chains`
- from an output back to an image: `vsbook.inversion`, `vsbook.reachability` (proofs: `vsbook.certificates`),
  `vsbook.newton`, `vsbook.polytopes`
- ideal images: `vsbook.ideal`, `vsbook.input_training`, `vsbook.training_mode`, `vsbook.naturalness`
- claims and measurements: `vsbook.ledger`
- pictures: `vsbook.plots`; command line: `vsbook.cli`
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
