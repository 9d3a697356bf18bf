"""The four scores from one confusion matrix, and a net's labels for whole images."""

from fcn.score.scores import Scores, evaluate

__all__ = ["Scores", "evaluate"]
