"""Free ports."""

from __future__ import annotations

import socket

from deploy.ports import choose, is_free

HOST = "127.0.0.1"


def test_a_port_that_somebody_listens_on_is_taken_and_another_is_chosen() -> None:
    with socket.create_server((HOST, 0)) as listener:
        port = listener.getsockname()[1]
        assert not is_free(HOST, port)
        chosen = choose(HOST, port, set())
        assert chosen != port
        assert is_free(HOST, chosen)


def test_a_port_that_somebody_shares_is_taken_too() -> None:
    """Media listens with SO_REUSEPORT: a second house must not slip in beside it."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind((HOST, 0))
        listener.listen()
        assert not is_free(HOST, listener.getsockname()[1])


def test_nobody_is_given_a_port_twice() -> None:
    with socket.create_server((HOST, 0)) as listener:
        wanted = listener.getsockname()[1]
    taken: set[int] = set()
    chosen = [choose(HOST, wanted, taken) for _ in range(5)]
    assert len(set(chosen)) == 5
    assert taken == set(chosen)


def test_at_the_end_of_the_range_any_free_port_will_do() -> None:
    with socket.create_server((HOST, 0)):
        assert 0 < choose(HOST, 65535, set(range(65535, 65536))) < 65536
