"""What forwards and their gradients do with plain arrays: nothing here knows of tensors or graphs."""
