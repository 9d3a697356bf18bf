"""The four scores from one confusion matrix, and a net's labels for whole images."""
