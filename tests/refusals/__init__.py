"""Every refusal of the public doors: one table of calls, the kinds of their arguments, and the bad values of a kind."""

from tests.refusals import chains, inversion, linalg, networks, others

CALLS = linalg.CALLS | networks.CALLS | chains.CALLS | inversion.CALLS | others.CALLS
