"""Networks from the inside: activations of chosen layers, on disk row by row, whatever framework the network is of."""
