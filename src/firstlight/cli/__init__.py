"""The command line: every command is a call that a Python user could make.

Exit status: 0 done, 2 the input cannot be used (the message says which file and why), 1 anything else.
"""

from __future__ import annotations

import errno
import io
import sys
from collections.abc import Callable, Sequence

import tyro

from firstlight.cli._comparisons import claims, compare
from firstlight.cli._listings import doctor, recipes
from firstlight.cli._runs import demo, evaluate, fit, pose_object
from firstlight.cli._scenes import compress, convert, info, render, share, view
from firstlight.errors import InputError

# In the order of 'firstlight --help'.
COMMANDS: dict[str, Callable[..., int]] = {
    "fit": fit,
    "demo": demo,
    "eval": evaluate,
    "compare": compare,
    "view": view,
    "share": share,
    "render": render,
    "info": info,
    "convert": convert,
    "compress": compress,
    "recipes": recipes,
    "pose-object": pose_object,
    "claims": claims,
    "doctor": doctor,
}

# What the operating system says when the place, not firstlight, is at fault.
_PLACE_ERRORS = {
    errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EPERM, errno.EDQUOT,
    errno.ENAMETOOLONG, errno.ENOTDIR, errno.EISDIR, errno.ELOOP,
}  # fmt: skip

app = tyro.extras.SubcommandApp()
for name, command in COMMANDS.items():
    app.command(name=name)(command)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return the exit status."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a name that the terminal cannot show must not end a run
            stream.reconfigure(errors="backslashreplace")
    try:
        return int(
            app.cli(
                prog="firstlight", description="Photos in, a scene you can walk through out.", args=arguments
            )
        )
    except InputError as error:
        print(f"firstlight: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        if error.errno not in _PLACE_ERRORS:
            raise
        print(
            f"firstlight: {error.filename or 'output'}: {error.strerror}. Nothing already made is lost.",
            file=sys.stderr,
        )
        return 2
    except KeyboardInterrupt:
        print(
            "firstlight: stopped. A run goes on with --resume, a comparison by the same command with --out.",
            file=sys.stderr,
        )
        return 1
