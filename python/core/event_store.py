"""Copy this into the application, for code that imports the store from here."""
from turing_events import EventStore, IntegrityError  # noqa: F401
