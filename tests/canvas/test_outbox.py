"""Messages go in their order from another thread, and what fails there is raised here."""

import threading

import pytest

from mdkit.canvas.outbox import Outbox


def test_messages_go_in_their_order_from_another_thread_which_ends():
    sent = []
    outbox = Outbox(lambda message, buffers: sent.append((threading.current_thread(), message)))
    before = threading.active_count()
    for n in range(50):
        outbox.put({"n": n}, [])
    assert threading.active_count() == before + 1
    outbox.close()
    assert threading.active_count() == before
    assert [message["n"] for _, message in sent] == list(range(50))
    assert {thread for thread, _ in sent} != {threading.current_thread()}
    assert len(outbox) == 0
    outbox.close()


def test_what_fails_is_raised_with_the_next():
    went = []

    def send(message, buffers):
        if message["n"] == 0:
            raise OSError("no socket")
        went.append(message["n"])

    outbox = Outbox(send)
    outbox.put({"n": 0}, [])
    outbox.close()
    with pytest.raises(OSError, match="no socket"):
        outbox.put({"n": 1}, [])
    outbox.put({"n": 2}, [])
    outbox.close()
    assert went == [2], "the page finds that 0 and 1 are missing, and asks for everything"
