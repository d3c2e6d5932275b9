"""What a cut would take down, decided without touching anything."""

from fnmatch import fnmatchcase

from hypothesis import given
from hypothesis import strategies as st

from fimkit.panic.links import IFF_LOOPBACK, IFF_UP, Link
from fimkit.panic.plan import plan_cut, render_plan

__all__: list[str] = []


def link(index: int, name: str, flags: int = IFF_UP, **more: object) -> Link:
    return Link(index=index, name=name, flags=flags, **more)  # type: ignore[arg-type]


LO = link(1, "lo", IFF_UP | IFF_LOOPBACK)


def test_hardware_goes_first_and_loopback_never() -> None:
    plan = plan_cut([LO, link(2, "br0", kind="bridge"), link(3, "eth1"), link(4, "eth0"), link(5, "eth9", 0)])
    assert [each.name for each in plan.down] == ["eth1", "eth0", "br0"]
    assert [each.name for each in plan.already_down] == ["eth9"]
    assert [(kept.link.name, kept.reason) for kept in plan.kept] == [("lo", "loopback, never leaves this host")]


def test_an_alternative_name_keeps_a_link_and_the_reason_says_so() -> None:
    plan = plan_cut([link(2, "eth0", alt_names=("enp3s0", "mgmt0"))], ["mgmt*"])
    assert plan.down == ()
    assert plan.kept[0].reason == "kept by 'mgmt*' in keep_interfaces (by its other name mgmt0)"


def test_patterns_see_the_case_of_names() -> None:
    assert [each.name for each in plan_cut([link(2, "eth0"), link(3, "ETH1")], ["ETH*"]).down] == ["eth0"]


def test_a_kept_link_whose_carrier_or_ports_go_down_is_warned_of() -> None:
    links = [link(2, "eth0"), link(3, "eth0.5", kind="vlan", lower=2), link(4, "br0", kind="bridge"), link(5, "eth1", master=4)]
    assert plan_cut(links, ["eth0.5", "br0"]).warnings == (
        "eth0.5 is kept, but eth0, which carries it, goes down: name that one too",
        "br0 is kept, but its ports go down: eth1",
    )


def test_a_pattern_that_names_nothing_is_warned_of() -> None:
    assert plan_cut([LO], ["wg0"]).warnings == ("no link is named by 'wg0' in keep_interfaces: it keeps nothing now",)


def test_the_plan_in_words_says_what_stays_and_why() -> None:
    assert render_plan(plan_cut([LO, link(2, "eth0"), link(3, "wg0", kind="wireguard")], ["wg*"])) == (
        "down: eth0\nstays: lo (loopback, never leaves this host)\nstays: wg0 (kept by 'wg*' in keep_interfaces)"
    )


NAMES = st.text("abe019.", min_size=1, max_size=4)
LINKS = st.lists(
    st.builds(
        Link, index=st.integers(1, 10_000), name=NAMES, flags=st.sampled_from([0, IFF_UP, IFF_UP | IFF_LOOPBACK]),
        alt_names=st.lists(NAMES, max_size=2).map(tuple), kind=st.sampled_from(["", "veth", "bridge"]),
        lower=st.none() | st.integers(1, 10), master=st.none() | st.integers(1, 10),
    ),
    unique_by=lambda each: each.index,
)


@given(LINKS, st.lists(st.text("abe01*?[]!", min_size=1, max_size=4), max_size=3))
def test_every_link_is_in_exactly_one_part_of_the_plan(links: list[Link], keep: list[str]) -> None:
    plan = plan_cut(links, keep)
    parts = [*plan.down, *plan.already_down, *(kept.link for kept in plan.kept)]
    assert sorted(each.index for each in parts) == sorted(each.index for each in links)
    for each in plan.down:
        assert each.is_up and not each.is_loopback
        assert not any(fnmatchcase(name, pattern) for name in (each.name, *each.alt_names) for pattern in keep)
