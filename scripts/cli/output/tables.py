"""Prints lists as tables, one function for each noun."""

from __future__ import annotations

from collections.abc import Iterable

from swallowtail.scripts.cli.output.printing import Json, format_duration, print_table, to_json, when


def print_tasks(tasks: Iterable[Json]) -> None:
    """Print tasks as a table."""
    rows = [(t["id"], t["status"], str(int(t["progress"])), when(t["created_at"])[5:16], t["title"]) for t in tasks]
    print_table(("Task", "Status", "%", "Submitted", "Title"), rows, "no tasks")


def print_audit(entries: Iterable[Json]) -> None:
    """Print entries of an audit log as a table."""
    rows = [
        (
            str(e["number"]),
            when(e["at"]),
            e["actor_name"],
            e["action"],
            f"{e['object_type']} {e['object_id']}",
            f"{e['entrance']} {e['address']}",
            to_json(e["detail"]) if e["detail"] else "",
        )
        for e in entries
    ]
    print_table(("No.", "When", "Who", "Action", "Object", "From", "Details"), rows, "no entries")


def print_instances(instances: Iterable[Json]) -> None:
    """Print instances as a table."""
    rows = [(item["id"], item["name"], str(item["seq"]), when(item["created_at"])) for item in instances]
    print_table(("Instance", "Name", "Events", "Created"), rows, "no instances")


def print_users(users: Iterable[Json]) -> None:
    """Print users as a table."""
    rows = [
        (
            item["name"],
            "superuser" if item["is_superuser"] else "",
            "disabled" if item["disabled_at"] else "",
            item["issuer"] or "",
            when(item["created_at"]),
        )
        for item in users
    ]
    print_table(("User", "Role", "State", "Issuer", "Created"), rows, "no users")


def print_members(members: Iterable[Json]) -> None:
    """Print the members of an instance as a table."""
    rows = [(item["name"], item["role"], when(item["created_at"])) for item in members]
    print_table(("User", "Role", "Since"), rows, "no members")


def print_tokens(tokens: Iterable[Json]) -> None:
    """Print tokens as a table, without their secrets."""
    rows = [
        (
            item["id"],
            item["name"],
            "all your permissions" if item["acts"] is None else ", ".join(item["acts"]),
            item["task_id"] or item["instance_id"] or "",
            when(item["expires_at"]),
            when(item["last_used_at"]),
        )
        for item in tokens
    ]
    print_table(("Token", "Name", "Allows", "Limited to", "Until", "Last used"), rows, "no tokens")


def print_agents(agents: Iterable[Json]) -> None:
    """Print agents as a table."""
    rows = [(card["kind"], card["title"], card["description"].partition("\n")[0]) for card in agents]
    print_table(("Kind", "Title", "What it does"), rows, "no agents; run swallowtail release")


def print_schedules(schedules: Iterable[Json]) -> None:
    """Print schedules as a table."""
    rows = [
        (
            item["id"],
            item["name"],
            item["kind"],
            _timing(item),
            "paused" if item["paused"] else when(item["next_slot_at"]),
        )
        for item in schedules
    ]
    print_table(("Schedule", "Name", "Kind", "When", "Next"), rows, "no schedules")


def print_slots(slots: Iterable[Json]) -> None:
    """Print a schedule's slots as a table."""
    rows = [(when(item["planned_at"]), item["outcome"], item["task_id"] or "", item["reason"]) for item in slots]
    print_table(("Planned", "Outcome", "Task", "Reason"), rows, "no slots yet")


def _timing(item: Json) -> str:
    if item["cron"] is not None:
        return f"{item['cron']} ({item['timezone']})"
    if item["interval_seconds"] is not None:
        return f"every {format_duration(item['interval_seconds'])}"
    return f"once, {when(item['run_at'])}"


def print_profiles(profiles: Iterable[Json]) -> None:
    """Print the servers that the user signed in to as a table."""
    rows = [
        (item["name"], item["url"], item["user"] or "no sign-in", "default" if item["default"] else "")
        for item in profiles
    ]
    print_table(("Profile", "Server", "User", ""), rows, "no profiles; `swallowtail login URL` makes one")
