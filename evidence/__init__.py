"""The scripts that measure the claims of the ledger, each once, and train and observe what they look at."""
