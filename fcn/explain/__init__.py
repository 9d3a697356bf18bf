"""The page that shows what a net does with a photograph, step by step."""
