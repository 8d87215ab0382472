import threading
from time import sleep

from gan_exp.play.turns import Turns


def test_those_in_a_hurry_go_first() -> None:
    turns, order = Turns(), list[str]()

    def wait(name: str, hurry: bool) -> None:
        with turns.take(hurry):
            order.append(name)

    threads = [threading.Thread(target=wait, args=[f"slow {k}", False]) for k in range(3)]
    threads += [threading.Thread(target=wait, args=[f"fast {k}", True]) for k in range(3)]
    with turns.take(hurry=False):
        for thread in threads:
            thread.start()
        while turns._hurried < 3:
            sleep(0.001)
        assert order == []
    for thread in threads:
        thread.join()
    assert sorted(order[:3]) == ["fast 0", "fast 1", "fast 2"] and len(order) == 6


def test_a_turn_ends_with_an_exception() -> None:
    turns = Turns()
    for _ in range(2):
        try:
            with turns.take(hurry=True):
                raise ValueError
        except ValueError:
            pass
