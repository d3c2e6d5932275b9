"""A network of a namespace made for the test, cut and put back: what ip prints before and after is the same."""

import dataclasses
import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fimkit.model.errors import HostError
from fimkit.panic.cut import LinkCutter
from fimkit.panic.namespaces import Namespace
from fimkit.panic.objects import Kind
from fimkit.panic.restore import RestoreReport, restore_state
from fimkit.panic.save import save_state
from fimkit.panic.state import NetworkState, parse_state, render_state
from tests.panic.confined import confined, ip, ip_batch, ip_json, needs, wait_until, without_rights

__all__: list[str] = []

pytestmark = needs("ip")

VIEWS = {
    "addresses": ("addr show",),
    "IPv4 routes": ("-4 route show table all",),
    "IPv6 routes": ("-6 route show table all",),
    "IPv4 rules": ("-4 rule show",),
    "IPv6 rules": ("-6 rule show",),
    "permanent neighbours": ("neigh show nud permanent",),
    "proxies": ("neigh show proxy",),
    "nexthops": ("nexthop show",),
}
PASSING = {"tentative", "dadfailed", "valid_life_time", "preferred_life_time", "expires"}


def view() -> dict[str, Any]:
    """All that ip shows, but for what passes by itself."""
    rows = {name: [_lasting(each) for each in ip_json(*words)] for name, words in VIEWS.items()}
    # Which link has its kernel's own route to fe80::/64 first is a matter of when each came up: no order of theirs is kept.
    return rows | {"IPv6 routes": sorted(rows["IPv6 routes"], key=json.dumps)}


def _lasting(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _lasting(each) for name, each in value.items() if name not in PASSING}
    return [_lasting(each) for each in value] if isinstance(value, list) else value


def settled() -> bool:
    return "tentative" not in ip("-6 addr show")


def save(where: Namespace) -> NetworkState:
    """Through its JSON text, as it will be stored."""
    state = save_state(where, now_ns=time.time_ns())
    assert not state.notes
    return parse_state(json.loads(json.dumps(render_state(state))))


def cut_and_back(where: Namespace, change: Callable[[], None] = lambda: None) -> tuple[RestoreReport, RestoreReport]:
    """Save, cut, restore twice; ip must show the same each time."""
    wait_until(settled)
    before, state = view(), save(where)
    with LinkCutter(where) as cutter:
        assert cutter.cut().is_complete
    assert view() != before
    change()
    first = restore_state(state, where)
    same(before)
    second = restore_state(state, where)
    same(before)
    assert sum(second.put_back.values()) == 0 and second.raised == ()
    assert second.missing == ()
    return first, second


def same(before: dict[str, Any], patience_s: float = 20.0) -> None:
    """Wait until ip shows what it did: carriers and addresses need a moment to settle. Then compare, for the message."""
    until = time.monotonic() + patience_s
    while not (settled() and view() == before) and time.monotonic() < until:
        time.sleep(0.1)
    after = view()
    for name, rows in before.items():
        assert after[name] == rows, name


def make_network() -> None:
    ip_batch([
        "link set lo up",
        "link add v0 type veth peer name v1",
        "link add v2 type veth peer name v3",
        "link add br0 type bridge",
        "link set v3 master br0",
        "link add m0 link v0 type macvlan mode bridge",
        "link add down0 type ifb",
        *(f"link set {name} up" for name in ("v0", "v1", "v2", "v3", "br0", "m0")),
        "addr add 192.0.2.1/24 dev v0",
        "addr add 192.0.2.77/24 dev v0 label v0:second",
        "addr add 203.0.113.1/30 dev v2 noprefixroute",
        "addr add 198.18.0.1/24 dev m0 valid_lft 3000 preferred_lft 2000",
        "-6 addr add 2001:db8:1::1/64 dev v0",
        "-6 addr add 2001:db8:1::2/64 dev v0 nodad",
        "-6 addr add 2001:db8:2::1/64 dev v2 nodad",
        "-6 addr add 2001:db8:3::1/128 dev lo",
        "-6 addr add 2001:db8:4::1/64 dev br0 valid_lft 4000 preferred_lft 0 noprefixroute",
        "route add default via 192.0.2.9 metric 50",
        "route add default via 192.0.2.10 metric 60 dev v0 onlink",
        "route add 198.51.100.0/24 via 192.0.2.9 src 192.0.2.77 mtu 1400",
        "route add 198.51.100.0/25 dev v2 scope link table 100",
        "route add 10.1.0.0/16 nexthop via 192.0.2.9 weight 3 nexthop via 192.0.2.10 weight 1",
        "route add 10.2.0.0/16 via inet6 2001:db8:1::9 dev v0",
        "route add blackhole 10.3.0.0/16",
        "route add unreachable 10.4.0.0/16 table 200",
        "route add 10.5.0.0/16 dev v0 table 4000 proto 77",
        "-6 route add default via 2001:db8:1::9 metric 30",
        "-6 route add 2001:db8:11::/48 nexthop via 2001:db8:1::9 nexthop via 2001:db8:2::9",
        "-6 route add 2001:db8:12::/48 dev v2 table 100 metric 7",
        "-6 route add 2001:db8:13::/48 via 2001:db8:1::9 expires 3600",
        "-6 route add blackhole 2001:db8:14::/48",
        "rule add from 192.0.2.0/24 table 100 pref 1000",
        "rule add not fwmark 7 lookup 200 pref 1001",
        "rule add iif v0 lookup 100 pref 1002",
        "-6 rule add to 2001:db8:10::/48 table 100 pref 1003",
        "neigh add 192.0.2.9 lladdr 02:00:00:00:00:09 dev v0 nud permanent",
        "neigh add 2001:db8:1::9 lladdr 02:00:00:00:00:09 dev v0 nud permanent",
        "neigh add proxy 192.0.2.50 dev v0",
        "-6 neigh add proxy 2001:db8:1::50 dev v0",
    ])
    wait_until(settled)  # the kernel takes no address for a source before it knows that no one else has it
    ip("-6 route add 2001:db8:10::/48 via 2001:db8:1::9 src 2001:db8:1::1")


def make_nexthops() -> None:
    ip_batch([
        "nexthop add id 1 via 192.0.2.9 dev v0",
        "nexthop add id 2 via 203.0.113.2 dev v2 onlink",
        "nexthop add id 3 blackhole",
        "nexthop add id 4 via 2001:db8:1::9 dev v0",
        "nexthop add id 10 group 1,3/2,2",
        "nexthop add id 11 group 1/2 type resilient buckets 32 idle_timer 60",
        "route add 10.6.0.0/16 nhid 10",
        "route add 10.7.0.0/16 nhid 11",
        "-6 route add 2001:db8:15::/48 nhid 4",
    ])


@confined
def test_a_whole_network_is_as_before_twice(where: Namespace) -> None:
    make_network()
    first, _ = cut_and_back(where)
    assert first.missing == ()
    assert set(first.raised) == {"v0", "v1", "v2", "v3", "br0", "m0"}
    assert all(first.put_back[kind] for kind in (Kind.ADDRESS, Kind.ROUTE, Kind.NEIGHBOUR))


@confined
def test_nexthop_objects_groups_and_their_routes_are_as_before(where: Namespace) -> None:
    make_network()
    try:
        make_nexthops()
    except AssertionError as error:
        pytest.skip(f"no nexthop objects here: {error}")
    first, _ = cut_and_back(where)
    assert first.missing == ()
    assert first.put_back[Kind.NEXTHOP] >= 4


@confined
def test_a_route_of_several_ways_of_which_one_stayed_is_whole_again(where: Namespace) -> None:
    make_network()
    ip_batch([
        "link add k0 type ifb", "link set k0 up", "addr add 198.19.0.1/24 dev k0", "-6 addr add 2001:db8:9::1/64 dev k0 nodad",
        "route add 10.9.0.0/16 nexthop via 192.0.2.9 nexthop via 198.19.0.9",
        "-6 route add 2001:db8:19::/48 nexthop via 2001:db8:1::9 nexthop via 2001:db8:9::9",
    ])
    wait_until(settled)
    before, state = view(), save(where)
    with LinkCutter(where, keep=["k0"]) as cutter:
        assert cutter.cut().is_complete
    report = restore_state(state, where)
    same(before)
    assert report.missing == ()


@confined
def test_what_was_taken_away_meanwhile_comes_back_too(where: Namespace) -> None:
    make_network()

    def meddle() -> None:  # as a network manager does when its links go down
        ip_batch(["addr flush dev v0", "rule del pref 1000", "route flush table 200"])

    first, _ = cut_and_back(where, meddle)
    assert first.missing == ()
    assert first.put_back[Kind.RULE] == 1


@confined
def test_what_was_added_meanwhile_stays(where: Namespace) -> None:
    make_network()
    wait_until(settled)
    state = save(where)
    with LinkCutter(where) as cutter:
        cutter.cut()
    ip_batch(["link set down0 up", "addr add 172.16.0.1/24 dev down0"])
    report = restore_state(state, where)
    assert report.notes == ("link down0 was down when this was saved and is up now: left so",)
    assert "172.16.0.1/24" in ip("addr show down0")


@confined
def test_what_cannot_be_put_back_is_told_and_stops_nothing(where: Namespace) -> None:
    make_network()
    wait_until(settled)
    state = save(where)
    with LinkCutter(where) as cutter:
        cutter.cut()
    ip("link del v2")
    report = restore_state(state, where)
    assert any(words.startswith("link v2: it is gone") for words in report.missing)
    assert any(words.startswith("route 2001:db8:11::/48 by several ways") for words in report.missing)
    assert "192.0.2.9" in ip("route show default")


@confined
def test_lifetimes_go_on_while_the_links_are_down(where: Namespace) -> None:
    make_network()
    wait_until(settled)
    state = save(where)
    with LinkCutter(where) as cutter:
        cutter.cut()
    ip("addr flush dev m0")
    later = dataclasses.replace(state, boottime_ns=state.boottime_ns - 2500 * 1_000_000_000)
    report = restore_state(later, where)
    assert report.missing == ()
    [address] = [each for link in ip_json("-4 addr show m0") for each in link["addr_info"]]
    assert 400 < address["valid_life_time"] <= 500 and address["preferred_life_time"] == 0
    much_later = dataclasses.replace(state, boottime_ns=state.boottime_ns - 3601 * 1_000_000_000)
    ip("addr flush dev m0")
    ip("-6 route del 2001:db8:13::/48")
    assert {words.split(":")[0] for words in restore_state(much_later, where).notes} >= {"address 198.18.0.1/24 on m0"}
    assert ip("-4 addr show m0") == ""
    assert "2001:db8:13" not in ip("-6 route show")


@confined
def test_another_boots_or_namespaces_state_is_refused_before_anything_is_done(where: Namespace) -> None:
    make_network()
    state = save(where)
    with LinkCutter(where) as cutter:
        cutter.cut()
    with pytest.raises(HostError, match="of another boot"):
        restore_state(dataclasses.replace(state, boot_id="0" * 36), where)
    with pytest.raises(HostError, match="nothing was done"):
        restore_state(dataclasses.replace(state, namespace=1), where)
    assert {each["ifname"] for each in ip_json("link show up")} == {"lo"}


@confined
def test_without_the_right_nothing_comes_back_and_it_says_what_and_why(where: Namespace) -> None:
    ip_batch(["link add v0 type veth peer name v1", "link set v0 up", "link set v1 up", "addr add 192.0.2.1/24 dev v0"])
    state = save(where)
    with LinkCutter(where) as cutter:
        cutter.cut()
    without_rights()
    report = restore_state(state, where, timeout_s=0.2)
    assert "link v0 does not come up: Operation not permitted" in report.missing
    assert not report.is_complete


def test_a_state_that_is_none_is_refused_in_words() -> None:
    good = render_state(NetworkState(boot_id="x", namespace=1, boottime_ns=1, taken_ns=0, links=(), objects={}))
    assert parse_state(good).objects == dict.fromkeys(Kind, ())
    for damage in ({"objects": {}}, {"boot_id": 1}, {"links": [{}]}, {"taken": "yesterday"}, {"namespace": True}):
        with pytest.raises(HostError, match="damaged"):
            parse_state(good | damage)
    with pytest.raises(HostError, match="too short"):
        parse_state(good | {"objects": good["objects"] | {"routes": ["AAAA"]}})


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
)


@given(st.dictionaries(st.sampled_from(["boot_id", "namespace", "boottime_ns", "taken", "links", "objects", "notes"]), JSON))
def test_any_json_is_read_or_refused(row: dict[str, Any]) -> None:
    good = render_state(NetworkState(boot_id="x", namespace=1, boottime_ns=1, taken_ns=0, links=(), objects={}))
    try:
        parse_state(good | row)
    except HostError:
        return
    assert row.get("boot_id", "") == str(row.get("boot_id", ""))
