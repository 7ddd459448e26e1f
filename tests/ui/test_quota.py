"""What visitors keep in the server's memory is limited, of each and of all, and counted for no longer than it is there."""

import pytest

from core.errors import QuotaReached
from core.ui.quota import Quota, visitor_of


def test_what_one_visitor_and_all_together_keep_is_limited():
    quota = Quota(100, 150)
    mine = [quota.hold("a", 60), quota.hold("a", 40)]
    with pytest.raises(QuotaReached, match="for one visitor"):
        quota.hold("a", 1)
    theirs = quota.hold("b", 50)
    with pytest.raises(QuotaReached, match="no memory left"):
        quota.hold("c", 1)
    assert len(mine) == 2 and theirs.size == 50


def test_what_nothing_refers_to_is_counted_no_longer():
    quota = Quota(100, 100)
    held = quota.hold("a", 100)
    held.size = 70
    more = quota.hold("a", 30)
    with pytest.raises(QuotaReached) as refusal:  # it may be kept with the log and must not keep what was counted
        quota.hold("a", 1)
    del held
    assert quota.hold("b", 70) and more and refusal.value


def test_many_tabs_of_one_address_are_one_visitor_and_those_of_this_machine_are_not():
    assert visitor_of({}, "192.0.2.7", "tab 1") == visitor_of({}, "192.0.2.7", "tab 2")
    assert visitor_of({}, "127.0.0.1", "tab 1") != visitor_of({}, "127.0.0.1", "tab 2")
    assert visitor_of({"X-Forwarded-For": "forged, 192.0.2.9"}, "127.0.0.1", "tab") == "192.0.2.9"
