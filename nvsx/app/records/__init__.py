"""What the ledger holds of runs: written, taken up again, shown and told."""
