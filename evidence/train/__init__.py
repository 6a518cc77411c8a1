"""From initial weights to the checkpoints of the evidence."""
