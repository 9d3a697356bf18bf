"""The authors' own nets, and the scores that they published for them."""
