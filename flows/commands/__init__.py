"""What a person types in a workspace, one file a command."""
