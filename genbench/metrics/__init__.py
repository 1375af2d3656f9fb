"""Pure metrics: tensors in, estimates out."""
