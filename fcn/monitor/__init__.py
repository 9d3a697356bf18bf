"""What goes wrong in a training and how it is seen: words, no bytes."""
