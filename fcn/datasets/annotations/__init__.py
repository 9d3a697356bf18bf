"""Labels as annotation tools export them: each module recognises a format and draws its labels."""
