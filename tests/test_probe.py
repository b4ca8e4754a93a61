"""What kubectl's account of one request tells: as 1.20 to 1.33 write it."""

from __future__ import annotations

import pytest

from nvsx.cluster.probe import probe_of

VERSIONS = {"clientVersion": {"gitVersion": "v1.33.2"}, "serverVersion": {"gitVersion": "v1.34.1"}}
OLD = """\
I1125 19:07:37.105848   20589 round_trippers.go:581] Response Status: 200 OK in 12 milliseconds
I1125 19:07:37.105988   20589 round_trippers.go:587]     Date: Wed, 25 Nov 2026 19:07:37 GMT
"""
NEW = """\
I1125 19:07:37.034305   20582 round_trippers.go:632] "Response" status="200 OK" headers=<
\tDate: Wed, 25 Nov 2026 19:07:37 GMT
 > milliseconds=12
"""
THEN = 1795633657.0


@pytest.mark.parametrize("account", [OLD, NEW], ids=["old", "new"])
def test_latency_and_clock(account: str) -> None:
    found = probe_of(VERSIONS, account, 0.3, THEN - 30.0)
    assert found == ("v1.34.1", "v1.33.2", 0.012, 30.0)


def test_without_an_account_the_whole_process_is_the_latency() -> None:
    found = probe_of({"clientVersion": None}, "E1125 memcache.go: noise\n", 0.3, THEN)
    assert found == ("", "", 0.3, None)
