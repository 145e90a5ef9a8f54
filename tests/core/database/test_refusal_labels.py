"""The metric of refused transactions keeps the values of its label, which dashboards and alerts name."""

from __future__ import annotations

import pytest

from swallowtail.app.core.database import connection_budget, faults

pytestmark = pytest.mark.unit

REASONS = {
    "the database is locked or away",
    "the database's disk is full",
    "the database takes no writes",
    "the database cannot read or write its disk",
    "the database has no connection left",
    "the database is out of resources",
    "the database ended the statement",
    "the connections that the database has left are kept for runs",
}


def test_the_reasons_of_refusals_do_not_change() -> None:
    reasons = {*faults._CODES.values(), *faults._WORDS.values(), connection_budget.RESERVED}
    assert reasons == REASONS
