"""The roles of members, the acts that need permission, and the lowest role for each act."""

from __future__ import annotations

from enum import StrEnum


class Role(StrEnum):
    """The role of a member in an instance; each role includes those before it."""

    #: Sees everything.
    VIEWER = "viewer"
    #: Submits, cancels and retries tasks, and manages schedules.
    OPERATOR = "operator"
    #: Manages members, tokens and the policy, and reads the audit log.
    ADMIN = "admin"
    #: Exports and deletes the instance, and appoints owners.
    OWNER = "owner"


class Act(StrEnum):
    """One kind of permission. The value is its name in tokens and in the audit log."""

    #: Read tasks, steps, events and schedules, and subscribe to them.
    READ = "instance.read"
    SUBMIT = "task.submit"
    CANCEL = "task.cancel"
    RETRY = "task.retry"
    SCHEDULE = "schedule.write"
    ISSUE_TOKENS = "token.mint"
    READ_MEMBERS = "member.read"
    MANAGE_MEMBERS = "member.write"
    MANAGE_POLICY = "policy.write"
    READ_AUDIT = "audit.read"
    EXPORT = "instance.export"
    DELETE = "instance.delete"
    #: Delete old events and tasks early.
    PRUNE = "instance.prune"
    RENEW_EPOCH = "instance.renew_epoch"
    #: These belong to no instance.
    CREATE_INSTANCE = "instance.create"
    READ_AGENTS = "agent.read"
    MANAGE_OWN_TOKENS = "own_token.write"
    MANAGE_USERS = "user.write"
    #: Rotate encryption keys, and renew epochs after a restore: these concern every instance.
    MANAGE_DEPLOYMENT = "deployment.write"
    READ_SYSTEM_AUDIT = "system_audit.read"
    READ_METRICS = "metrics.read"


#: The lowest role for each act in an instance.
LEAST_ROLE = {
    Act.READ: Role.VIEWER,
    Act.SUBMIT: Role.OPERATOR,
    Act.CANCEL: Role.OPERATOR,
    Act.RETRY: Role.OPERATOR,
    Act.SCHEDULE: Role.OPERATOR,
    Act.ISSUE_TOKENS: Role.ADMIN,
    Act.READ_MEMBERS: Role.ADMIN,
    Act.MANAGE_MEMBERS: Role.ADMIN,
    Act.MANAGE_POLICY: Role.ADMIN,
    Act.READ_AUDIT: Role.ADMIN,
    Act.EXPORT: Role.OWNER,
    Act.DELETE: Role.OWNER,
    Act.PRUNE: Role.OWNER,
    Act.RENEW_EPOCH: Role.OWNER,
}
#: Acts for superusers only; every user may do the other acts outside of instances.
SUPERUSERS_ONLY = frozenset({Act.MANAGE_USERS, Act.MANAGE_DEPLOYMENT, Act.READ_SYSTEM_AUDIT, Act.READ_METRICS})
#: Acts that a token for one task may allow.
OF_ONE_TASK = frozenset({Act.READ, Act.CANCEL, Act.RETRY})
