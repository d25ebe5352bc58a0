"""`python -m velodrome` and the `velodrome` command."""

import sys


def main() -> None:
    """Run the command line and exit with its code."""
    from velodrome.experiments.cli import main as run_command_line

    sys.exit(run_command_line())


if __name__ == "__main__":
    main()
