"""The one error that is meant for the user's eyes."""


class UserError(ValueError):
    """Something outside the code is wrong: a file, a parameter, a label, a checksum.

    The message says what was wanted, what came, where (file, key, image id) and what to do about it; the flows print it
    as it is, without a stack trace.
    """
