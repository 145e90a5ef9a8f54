"""The allowed imports between packages: each package, and the packages above it that it imports.

`core.ledger` is `swallowtail.app.core.ledger`. A file directly in a top package counts as a package of its own; of
`core.ledger` the arrow names the module. An arrow points to a package higher up in the table, so there is no cycle.
"""

ARROWS = {
    "context": "",
    "extras": "",
    "signals": "extras",
    "version": "",
    "core.errors": "",
    "core.events": "",
    "core.privacy": "core.errors core.events",
    "core.config": "core.errors core.privacy",
    "core.process": "core.errors",
    "core.states": "",
    "core.schemas": "core.errors core.events core.states",
    "core.validation": "core.config core.errors core.events",
    "core.tables": "core.errors core.events core.privacy core.validation",
    "core.payload_redaction": "core.config core.events core.privacy core.process core.tables",
    "core.database": (
        "core.config core.errors core.events core.payload_redaction core.privacy core.process core.tables "
        "core.validation"
    ),
    "core.coordination": "core.database core.tables core.validation version",
    "core.logs": "core.config core.payload_redaction core.privacy",
    "core.security": "core.config core.errors core.events core.process core.tables",
    "core.redis": "core.config core.events core.process",
    "core.audit": "core.config core.database core.errors core.events core.schemas core.security core.tables",
    "core.ledger": (
        "core.audit core.config core.coordination core.database core.errors core.events core.payload_redaction "
        "core.privacy core.process core.redis core.security core.states core.tables core.validation signals"
    ),
    "core.call_context": (
        "core.config core.database core.errors core.ledger.event_log core.ledger.tasks core.ledger.unit_of_work "
        "core.process core.security"
    ),
    "core.deployment_identity": "core.config core.database core.errors core.redis core.tables",
    "core.identity": (
        "core.audit core.call_context core.config core.database core.errors core.events core.ledger.event_log "
        "core.schemas core.security core.tables core.validation"
    ),
    "core.maintenance": (
        "core.audit core.call_context core.config core.coordination core.database core.deployment_identity core.errors "
        "core.events core.ledger.event_log core.ledger.outbox core.ledger.proposals core.privacy core.process "
        "core.security core.states core.tables"
    ),
    "core.queries": (
        "core.audit core.config core.coordination core.database core.errors core.events core.ledger.artifacts "
        "core.ledger.event_log core.payload_redaction core.privacy core.process core.schemas core.security "
        "core.states core.tables"
    ),
    "core.services": (
        "core.call_context core.config core.coordination core.database core.errors core.events "
        "core.ledger.agent_cards core.ledger.artifacts core.ledger.event_log core.ledger.tasks "
        "core.payload_redaction core.privacy core.process core.queries core.schemas core.security "
        "core.states core.tables core.validation"
    ),
    "core.runtime": (
        "core.call_context core.config core.coordination core.database core.ledger.outbox "
        "core.ledger.proposals core.ledger.publish_queue core.ledger.publisher core.ledger.runs core.ledger.tasks "
        "core.ledger.unit_of_work core.maintenance core.process core.security"
    ),
    "core.health": "core.database core.errors core.queries core.runtime core.schemas",
    "migrations": "core.config core.database core.tables",
    "delivery.metrics": "",
    "delivery.wire": "core.ledger.event_log",
    "delivery.log": (
        "core.config core.database core.errors core.events core.ledger.event_log core.process core.queries "
        "core.security delivery.wire"
    ),
    "delivery.redis": "core.config core.process core.redis delivery.metrics",
    "delivery.clients": "core.config core.errors core.security delivery.log delivery.metrics delivery.wire",
    "delivery.streams": (
        "core.config core.errors core.events core.ledger.event_log core.ledger.publisher core.process core.redis "
        "delivery.clients delivery.log delivery.metrics delivery.redis delivery.wire"
    ),
    "delivery.subscriptions": (
        "core.config core.errors delivery.clients delivery.log delivery.metrics delivery.streams delivery.wire"
    ),
    "delivery.message_router": (
        "core.config core.ledger.publisher core.security delivery.metrics delivery.redis delivery.streams"
    ),
    "delivery.hub": (
        "core.config delivery.clients delivery.log delivery.message_router delivery.metrics delivery.redis "
        "delivery.streams delivery.subscriptions"
    ),
    "delivery.access_monitor": "core.config core.process core.security delivery.clients delivery.hub delivery.log",
    "web.api.schemas": "core.schemas core.states",
    "web.background": "core.audit core.database core.errors core.process core.queries core.security",
    "web.http": "core.config core.database core.errors",
    "web.limits": "core.config core.errors core.process core.redis core.security web.http",
    "web.websocket": "core.config",
    "web.engineio": "core.config core.errors web.http web.limits web.websocket",
    "web.accept": "core.config web.engineio web.http web.limits web.websocket",
    "web.socketio": (
        "core.config core.errors core.events core.identity core.redis core.security core.validation "
        "delivery.access_monitor delivery.clients delivery.hub delivery.metrics delivery.wire web.background "
        "web.engineio web.http web.limits web.websocket"
    ),
    "web.container": (
        "core.audit core.identity core.runtime delivery.access_monitor delivery.hub web.background web.engineio "
        "web.limits web.socketio web.websocket"
    ),
    "web.request": (
        "core.config core.errors core.identity core.process core.runtime core.security core.validation "
        "web.container web.http web.limits"
    ),
    "web.api": (
        "core.audit core.errors core.events core.identity core.ledger.event_log core.queries core.runtime core.schemas "
        "core.security core.services core.validation web.api.schemas web.container web.http web.request"
    ),
    "web.ops": (
        "core.health core.queries core.schemas core.security delivery.hub web.api.schemas web.container web.http "
        "web.request"
    ),
    "web.pages": (
        "core.audit core.call_context core.config core.errors core.events core.identity core.process core.queries "
        "core.schemas core.security core.services core.states core.validation web.api web.container web.http "
        "web.request"
    ),
    "web.factory": (
        "core.audit core.config core.database core.identity core.process core.runtime delivery.access_monitor "
        "delivery.hub delivery.log web.accept web.api web.background web.container web.engineio web.http "
        "web.limits web.ops web.pages web.request web.socketio web.websocket version"
    ),
    "web.serving": (
        "core.config core.database core.deployment_identity core.errors core.maintenance core.process core.security "
        "delivery.wire web.accept web.background web.container web.factory web.ops web.socketio web.websocket"
    ),
    "wsgi": "core.config core.errors core.logs core.process web.serving",
    "workers.isolation": "",
    "workers.metrics": "core.config core.errors",
    "workers.metrics_server": "core.config core.errors core.identity core.runtime core.security workers.metrics",
    "workers.run": (
        "context core.config core.errors core.events core.ledger.claims core.ledger.runs core.privacy core.process "
        "core.runtime core.states core.validation signals"
    ),
    "workers.lease_keeper": "core.config core.errors core.ledger.claims core.process core.states workers.run",
    "workers.reading": "core.config core.process workers.run",
    "workers.llm": "core.config workers.reading workers.run",
    "workers.agents.campaign": "context workers.llm workers.reading workers.run",
    "workers.registry": ("context core.config core.database core.errors core.ledger.agent_cards extras workers.run"),
    "workers.agents": "context workers.agents.campaign workers.llm workers.registry workers.run",
    "workers.release": (
        "core.config core.database core.deployment_identity core.errors core.identity core.logs core.process "
        "core.runtime core.services workers.registry"
    ),
    "workers.runtime": (
        "core.config core.deployment_identity core.ledger.runs core.logs core.runtime core.security workers.registry "
        "workers.run"
    ),
    "workers.beat_scheduler": (
        "core.errors core.maintenance core.queries core.runtime core.services workers.metrics_server workers.runtime"
    ),
    "workers.broker": "core.ledger.outbox core.security workers.runtime",
    "workers.receivers": "core.ledger.claims core.ledger.outbox core.ledger.proposals signals workers.runtime",
    "workers.sweeper_process": (
        "core.config core.coordination core.database core.deployment_identity core.errors core.logs core.process "
        "core.runtime workers.lease_keeper workers.metrics workers.metrics_server workers.run workers.runtime"
    ),
    "workers.celery_app": (
        "core.config core.errors core.ledger.agent_cards core.ledger.outbox core.logs core.process workers.broker "
        "workers.metrics workers.registry workers.runtime workers.sweeper_process"
    ),
    "workers.run_task": (
        "core.database core.errors core.ledger.claims core.ledger.metrics core.ledger.outbox core.logs core.runtime "
        "core.states workers.celery_app workers.isolation workers.metrics workers.registry workers.run "
        "workers.runtime"
    ),
    "workers.program": "core.process workers.beat_scheduler workers.celery_app",
    "scripts.audit_report": "",
    "scripts.banner": "core.config core.process extras",
    "scripts.cli.output": "core.states",
    "scripts.cli.remote": "core.config core.errors core.states scripts.cli.output",
    "scripts.cli": (
        "core.config core.deployment_identity core.errors core.identity core.logs core.process core.runtime "
        "core.security core.states scripts.cli.remote version"
    ),
    "scripts.cli.commands": (
        "core.audit core.errors core.identity core.maintenance core.queries core.runtime core.security core.services "
        "core.states core.validation scripts.cli scripts.cli.output scripts.cli.remote"
    ),
    "scripts.doctor": (
        "core.config core.coordination core.database core.deployment_identity core.errors core.health "
        "core.ledger.outbox core.privacy core.process core.queries core.redis core.runtime core.schemas "
        "scripts.banner scripts.cli scripts.cli.output version"
    ),
    "scripts.processes": "core.config core.database core.errors core.logs core.process scripts.banner scripts.cli",
    "scripts.enqueue": "scripts.cli",
    "migrations.versions": "",
    "testing": "context core.events extras workers.run",
    "swallowtail": "context signals testing version workers.registry workers.run",
}
