"""What all methods share: model files, seeds, progress, the executor seam, citations, training."""
