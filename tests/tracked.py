"""MLflow told in the process of the test, at the moments when a stage looks for its forwarder."""

from tasks.tracking import delivery, forwarder, run, store


def at_once(monkeypatch, every=60.0):
    """`every`: seconds between these moments, beside the beginning and the end of a stage."""
    teller = delivery.Delivery()

    def wake():
        store.prepare()
        teller.look()

    monkeypatch.setattr(forwarder, "wake", wake)
    monkeypatch.setattr(run, "_EVERY", every)
    return teller
