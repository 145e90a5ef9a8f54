"""An example of every command, shown at the end of its help."""

from __future__ import annotations

from typing import Any

_TASK = "0f8fad5b-d9cb-469f-a165-70867728950e"
#: By the words of the command.
EXAMPLES = {
    "enqueue": "swallowtail enqueue echo --instance demo --set message=hello --follow",
    "watch": "swallowtail watch demo",
    "list": "swallowtail list demo --status failed --since 2h",
    "show": f"swallowtail show {_TASK}",
    "cancel": "swallowtail cancel --instance demo --status queued --kind echo",
    "retry": "swallowtail retry --instance demo --status failed --yes",
    "agents": "swallowtail agents echo",
    "schedule": "swallowtail schedule list demo",
    "schedule add": 'swallowtail schedule add Morning echo -i demo --set message=hello --cron "30 9 * * MON-FRI"',
    "schedule list": "swallowtail schedule list demo",
    "schedule slots": f"swallowtail schedule slots {_TASK} --limit 5",
    "schedule pause": f"swallowtail schedule pause {_TASK}",
    "schedule resume": f"swallowtail schedule resume {_TASK}",
    "schedule remove": f"swallowtail schedule remove {_TASK}",
    "artifact": f"swallowtail artifact {_TASK} --output report.json",
    "login": "swallowtail login https://agents.example.org --profile work",
    "logout": "swallowtail logout --profile work",
    "whoami": "swallowtail whoami --profile work",
    "profiles": "swallowtail profiles",
    "profiles use": "swallowtail profiles use work",
    "profiles remove": "swallowtail profiles remove work",
    "tokens": "swallowtail tokens",
    "tokens create": 'swallowtail tokens create "nightly report" --act instance.read --for 30d',
    "tokens revoke": f"swallowtail tokens revoke {_TASK}",
    "instances": "swallowtail instances",
    "instances create": "swallowtail instances create Acme --id acme",
    "instances export": "swallowtail instances export acme --output acme.jsonl",
    "instances delete": "swallowtail instances delete acme --confirm acme",
    "instances renew-epoch": "swallowtail instances renew-epoch acme --as-operator",
    "members": "swallowtail members list acme",
    "members list": "swallowtail members list acme",
    "members set": "swallowtail members set acme ann operator",
    "members remove": "swallowtail members remove acme ann",
    "front-end-tokens": "swallowtail front-end-tokens list acme",
    "front-end-tokens list": "swallowtail front-end-tokens list acme",
    "front-end-tokens create": 'swallowtail front-end-tokens create acme "shop page" --for 8h',
    "front-end-tokens revoke": f"swallowtail front-end-tokens revoke acme {_TASK}",
    "policy": "swallowtail policy show acme",
    "policy show": "swallowtail policy show acme",
    "policy set": "swallowtail policy set acme --event-days 30 --secret-field iban",
    "audit": "swallowtail audit list --instance acme",
    "audit list": "swallowtail audit list --instance acme --actor ann --since 7d",
    "audit verify": "swallowtail audit verify --all",
    "users": "swallowtail users --as-operator",
    "users create": "swallowtail users create boss --superuser",
    "users disable": "swallowtail users disable ann",
    "users enable": "swallowtail users enable ann",
    "users promote": "swallowtail users promote ann",
    "users demote": "swallowtail users demote ann",
    "users password": "swallowtail users password ann --as-operator",
    "keys": "swallowtail keys status --as-operator",
    "keys status": "swallowtail keys status --as-operator",
    "keys rotate": "swallowtail keys rotate --as-operator",
    "prune": "swallowtail prune --instance acme --event-days 30 --dry-run",
}


def add_examples(command: Any, words: str) -> None:
    """Add its example to the help of a command, and of those of a group."""
    if words in EXAMPLES:
        # The mark keeps the lines as they are.
        command.epilog = f"\b\nExample:\n  {EXAMPLES[words]}"
    for name, inner in getattr(command, "commands", {}).items():
        add_examples(inner, f"{words} {name}")
