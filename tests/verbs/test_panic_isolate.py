"""A whole panic with ``isolate`` and live peers: the manager's session lives, the attacker's dies, a restore undoes it."""

import os
import socket
from pathlib import Path

import pytest

from fimkit.panic.namespaces import Namespace
from fimkit.panic.record import Phase, load_record
from tests.notify.letters import finding
from tests.notify.mail_servers import Certificates
from tests.panic.confined import confined, ip, needs, nft, wait_until
from tests.panic.test_isolate import dial, is_cut, refused, serve, session, talks, three_hosts
from tests.verbs.panic_place import armed, make_config
from tests.verbs.test_live_panic import is_back, settled
from tests.verbs.test_panic_runner import runner

__all__: list[str] = []

pytestmark = needs("ip", "nft")


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("tls"))


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
@confined
def test_the_managers_session_lives_through_a_panic_and_its_restore_and_the_attackers_dies(
    family: socket.AddressFamily, tmp_path: Path, certificates: Certificates, where: Namespace
) -> None:
    where.check()
    with three_hosts(family) as ends:
        manager = ends.address(1, 2)
        allow = f"[{manager}]:22" if family == socket.AF_INET6 else f"{manager}:22"
        config = make_config(tmp_path, certificates, action="isolate", allow=(allow,))
        ip("route add" if family == socket.AF_INET else "-6 route add", "default via", ends.address(2, 2))
        nft("add table inet theirs")
        ssh, web, theirs = serve(family, 22), serve(family, 8080), serve(family, 9000, ends.attacker)
        management = session(dial(ends.manager, family, ends.address(1, 1), 22), ssh)
        attack = session(dial(ends.attacker, family, ends.address(2, 1), 8080), web)
        outward = session(dial(None, family, ends.address(2, 2), 9000), theirs)
        rules, network = nft("list ruleset"), settled()
        with armed(config) as helper, runner(config, nomail=True) as spoken:
            spoken.findings(1, finding(1))
            wait_until(lambda: load_record(config.host.state_dir).phase is Phase.CUT)
            for _ in range(20):
                assert talks(*management) and talks(*reversed(management))
            assert is_cut(*attack) and is_cut(*outward)
            assert refused(ends.attacker, ends, ends.address(2, 1), 22)
            assert refused(ends.attacker, ends, ends.address(2, 1), 8080)
            assert refused(ends.manager, ends, ends.address(1, 1), 8080)
            assert refused(None, ends, ends.address(2, 2), 9000)
            dial(ends.manager, family, ends.address(1, 1), 22).close()
            assert spoken.done(1)
            record = load_record(config.host.state_dir)
            assert record.cut is not None and record.cut["isolated"] and record.cut["complete"]
            report = Path(os.fsdecode(config.host.state_dir), "panic/incidents", record.incident, "report.txt").read_text()
            assert "isolated" in report
            for _ in range(2):  # the second time there is nothing to do
                reply = helper.restore(by="the manager")
                assert reply.complete, reply.words
                assert nft("list ruleset") == rules
            is_back(network)
            assert talks(*management) and talks(*reversed(management))
            dial(ends.attacker, family, ends.address(2, 1), 8080).close()
            dial(None, family, ends.address(2, 2), 9000).close()
