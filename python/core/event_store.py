# To be copied into the application, for code that imports it from here.
from turing_events import EventStore as EventStore, IntegrityError as IntegrityError
