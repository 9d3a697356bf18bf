"""Ctrl-C that waits for a moment at which nothing is lost. Imports no framework."""

import signal
import threading
from types import FrameType
from typing import Any


class Held:
    """A `with` in which SIGINT, SIGTERM and SIGHUP wait for the next `let`, or for its end.

    For work that has its state in nobody's hands while it runs. Only signals that have a handler in
    Python are held, and only in the main thread, where Python runs them.
    """

    def __init__(self) -> None:
        """Nothing is held yet; may be entered again and again, but not twice at a time."""
        self.came: int | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> "Held":
        """Holds the signals from now on."""
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                if callable(signal.getsignal(number)):
                    self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        """Lets the signals through again, and one that came meanwhile."""
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self.let()
        self._before.clear()

    def let(self) -> None:
        """The moment: a signal that came is handed to the handler of before, which as a rule raises
        KeyboardInterrupt.
        """
        number, self.came = self.came, None
        if number is not None:
            self._before[number](number, None)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.came = number


def between_steps(net: Any, held: Held) -> None:
    """Makes a trainer on Keras' JAX backend one that can be interrupted between any two steps and
    keeps what was computed.

    While an epoch of that trainer runs, the model's variables are empty: their arrays go from step
    to step, and each step consumes those that it gets. So signals wait until these are at hand, and
    the variables get them back.

    Args:
        net: a compiled `keras.Model`.
        held: what its `fit` is called in.
    """
    make = net.make_train_function

    def make_train_function(force: bool = False) -> None:
        if net.train_function is not None and not force:
            return
        make(force)
        step = net.train_function

        def interruptible(state: Any, batches: Any) -> Any:
            if held.came:
                kinds = (
                    net.trainable_variables,
                    net.non_trainable_variables,
                    net.optimizer.variables,
                    net.metrics_variables,
                )
                for variables, arrays in zip(kinds, state, strict=True):
                    for variable, array in zip(variables, arrays, strict=True):
                        variable.assign(array)
                held.let()
            return step(state, batches)

        net.train_function = interruptible

    net.make_train_function = make_train_function
