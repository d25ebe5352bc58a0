"""`python -m velodrome` and the `velodrome` command."""

import os
import sys


def main() -> None:
    """Run the command line and exit with its code."""
    from velodrome.experiments.cli.application import main as run_command_line

    sys.exit(run_command_line())


if __name__ == "__main__":
    # `python -m` looks for every module in the current folder first: a file there would run for being called pandas.py.
    if sys.path and sys.path[0] in ("", os.getcwd()):
        del sys.path[0]
    main()
