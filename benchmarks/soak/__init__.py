"""The proof that reloads, worker-count changes and hot upgrades lose nothing: `make soak`."""
