"""Which SSH connection one is sitting on: by the environment, by the processes that one descends from, and by which link."""

import os
import socket
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fimkit.verbs.ssh_session import SshSession, find_ssh_sessions, own_session, parse_ssh_connection

__all__: list[str] = []


@pytest.fixture
def connection() -> tuple[socket.socket, socket.socket]:
    """A connection on this host: the server's end, and the client's."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        client = socket.create_connection(server.getsockname())
        ours, _ = server.accept()
        with client, ours:
            yield ours, client


def in_child_of_sshd(handle: socket.socket) -> list[str]:
    """Ask in the child of a process that is called sshd and has the connection."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        Path("/proc/self/comm").write_text("sshd")
        grandchild = os.fork()
        if grandchild == 0:
            handle.close()
            found = [f"{one.peer} {one.peer_port} {one.local_port} {one.interface} {one.own}" for one in find_ssh_sessions({})]
            os.write(writer, "\n".join(found).encode())
            os._exit(0)
        os.waitpid(grandchild, 0)
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        told = pipe.read().decode()
    os.waitpid(child, 0)
    return told.splitlines()


def test_the_own_one_is_that_of_the_server_one_descends_from(connection: tuple[socket.socket, socket.socket]) -> None:
    ours, client = connection
    port, here = client.getsockname()[1], ours.getsockname()[1]
    assert f"127.0.0.1 {port} {here} lo True" in in_child_of_sshd(ours)


def test_what_a_session_forwards_is_none(connection: tuple[socket.socket, socket.socket]) -> None:
    _, client = connection  # goes out from a port where nobody listens
    assert not any(line.startswith(f"127.0.0.1 {client.getpeername()[1]} ") for line in in_child_of_sshd(client))


def test_the_environment_names_the_own_one_where_no_process_does() -> None:
    session = own_session(find_ssh_sessions({"SSH_CONNECTION": "192.0.2.10 40000 127.0.0.1 22"}))
    assert session is not None
    assert (session.peer, session.interface, session.own) == ("192.0.2.10", "lo", True)
    assert str(session) == "your SSH connection from 192.0.2.10, by lo"


def test_without_an_address_of_ours_no_link_is_named() -> None:
    session = own_session(find_ssh_sessions({"SSH_CONNECTION": "2001:db8::10 40000 2001:db8::1 22"}))
    assert session == SshSession(peer="2001:db8::10", peer_port=40000, local="2001:db8::1", local_port=22, own=True)
    assert str(session) == "your SSH connection from 2001:db8::10, to 2001:db8::1"


@given(st.text())
def test_any_text_in_the_environment_is_read_or_is_none(text: str) -> None:
    session = parse_ssh_connection(text)
    assert session is None or session.own
