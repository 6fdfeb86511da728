"""The errors that firstlight raises on purpose."""


class InputError(ValueError):
    """The input cannot be used.

    The message names the file, says what was expected and what to do next. On the command line it is
    printed alone and the exit status is 2.
    """
