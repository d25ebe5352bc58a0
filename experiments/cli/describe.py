"""`velodrome describe`: what is known of an environment before anyone learns."""

import json

from rich.text import Text

from velodrome.experiments.describe import describe
from velodrome.experiments.reporting.terminal import Terminal
from velodrome.experiments.results.numbers import json_ready
from velodrome.experiments.texts import visible


def describe_command(environment: str, *, success: str | None, discount: float | None, as_json: bool) -> None:
    """`velodrome describe`: print the facts and the measures of hardness."""
    found = describe(environment, success=success, discount=discount)
    if as_json:
        print(json.dumps(json_ready(found.as_dict()), indent=2))
        return
    console = Terminal(highlight=False)
    for name, text in found.lines():
        console.print(Text.assemble((f"{name:>16}  ", "dim"), visible(text)), soft_wrap=True)
