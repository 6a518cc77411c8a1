"""Every planted fault, by name; `test_mutants` plants them one by one."""

from tests.planted import chains, inputs, linalg, networks, shell

ROOMS = [*chains.FAULTS, *inputs.FAULTS, *linalg.FAULTS, *networks.FAULTS, *shell.FAULTS]
FAULTS = {name: fault for room in ROOMS for name, fault in room.items()}
