"""Neural networks as linear algebra, measured claim by claim.

Importing `vsbook` loads nothing else; each room is imported by its own name:

- pure NumPy: `vsbook.subspaces`, `vsbook.nullmodel`
- data and networks: `vsbook.data`, `vsbook.models`
- networks as matrices, and training: `vsbook.layers`, `vsbook.training`
- claims and measurements: `vsbook.ledger`
- pictures: `vsbook.plots`; command line: `vsbook.cli`
"""

__version__ = "0.1.0"
