"""One script a claim; each prints a ratio against a floor measured in the same run. ``python -m benchmarks`` runs all."""
