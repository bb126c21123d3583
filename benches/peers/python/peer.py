"""The Python library eventsourcing on PostgreSQL and in memory, as the driver runs it: the figures and
the line of JSON of the Rust peers' harness. A caller is a thread."""

import json
import os
import random
import string
import sys
import threading
import time
import uuid
from urllib.parse import urlsplit

from eventsourcing.application import AggregateNotFoundError, Application
from eventsourcing.domain import Aggregate, event
from eventsourcing.persistence import IntegrityError
from eventsourcing.projection import ApplicationSubscription

EVENTS = 10
WRITERS = 8
PATIENCE = 20.0
NAMESPACE = uuid.NAMESPACE_OID
# the first word, before a figure's
IN_MEMORY = sys.argv[1:2] == ["memory"]


class Posting(Aggregate):
    """The last output of each conversation. Its first event is its creation, as the library wants it."""

    @event("Created")
    def __init__(self, number: int):
        self.outputs = {}
        self.events = 0

    @staticmethod
    def create_id(number: int):
        return uuid.uuid5(NAMESPACE, str(number))

    @event("ScriptExecutionCompleted")
    def record(self, output, status, conversation_id, actor_id, duration_ms, causation_id, correlation_id):
        self.outputs[conversation_id] = output
        self.events += 1


class Postings(Application):
    def command(self, number, executions):
        """Loads, decides and saves; answers whether it is stored."""
        try:
            posting = self.repository.get(Posting.create_id(number))
        except AggregateNotFoundError:
            posting = Posting(number)
        for execution in executions:
            posting.record(**execution)
        try:
            self.save(posting)
        except IntegrityError:
            return False
        return True

    def load(self, number):
        return self.repository.get(Posting.create_id(number)).events


class Source:
    def __init__(self, seed):
        self.chance = random.Random(seed)
        self.texts = ["".join(self.chance.choices(string.ascii_letters, k=148)) for _ in range(64)]

    def executions(self, aggregate, first, count):
        return [
            {
                "output": self.chance.choice(self.texts),
                "status": "SUCCESS",
                "conversation_id": 9184 + self.chance.randrange(16),
                "actor_id": aggregate,
                "duration_ms": number,
                "causation_id": "019a1b2c-3d4e-7f50-8f50-0123456789ab",
                "correlation_id": "workflow_3001_posting_12345",
            }
            for number in range(first, first + count)
        ]


def connected():
    if IN_MEMORY:
        return Postings(env={"PERSISTENCE_MODULE": "eventsourcing.popo"})
    url = urlsplit(os.environ["DATABASE_URL"])
    return Postings(
        env={
            "PERSISTENCE_MODULE": "eventsourcing.postgres",
            "POSTGRES_DBNAME": url.path.lstrip("/"),
            "POSTGRES_HOST": url.hostname,
            "POSTGRES_PORT": str(url.port),
            "POSTGRES_USER": url.username,
            "POSTGRES_PASSWORD": "none",
            "POSTGRES_POOL_SIZE": "10",
        }
    )


def insist(app, aggregate, executions):
    while not app.command(aggregate, executions):
        pass


def in_threads(count, work):
    """Runs work(0) to work(count - 1), each in a thread; passes an error on."""
    results, errors = [None] * count, []

    def run(number):
        try:
            results[number] = work(number)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return results


def callers(app, commands, events, count, first, seconds):
    begun = time.perf_counter()

    def caller(number):
        source, took, aggregate = Source(first + number), [], first + number
        while time.perf_counter() < begun + seconds:
            for command in range(commands):
                executions = source.executions(aggregate, command * events, events)
                start = time.perf_counter()
                if start >= begun + seconds:
                    break
                insist(app, aggregate, executions)
                took.append(time.perf_counter() - start)
            aggregate += count
        return took, aggregate

    results = in_threads(count, caller)
    took = [call for calls, _ in results for call in calls]
    return took, time.perf_counter() - begun, max(aggregate for _, aggregate in results) + count


def shown(took, events, seconds, cpu):
    took.sort()
    micros = [call * 1e6 for call in took]
    within = lambda hundredths: micros[min(len(micros) * hundredths // 100, len(micros) - 1)]
    return {"rate": events / seconds, "p50": within(50), "p99": within(99), "cpu": cpu * 1e6 / events}


def commands(commands, events, count, seconds):
    app = connected()
    _, _, following = callers(app, commands, events, count, 0, seconds * 0.2)
    before = time.process_time()
    took, lasted, _ = callers(app, commands, events, count, following, seconds)
    return shown(took, len(took) * events, lasted, time.process_time() - before)


def load(events, seconds):
    app, source, aggregate = connected(), Source(0), 50
    for other in (number for number in range(100) if number != aggregate):
        for number in range(EVENTS):
            insist(app, other, source.executions(other, number, 1))
    for first in range(0, events, 100):
        insist(app, aggregate, source.executions(aggregate, first, min(100, events - first)))
    took = []
    for is_measured, time_of_it in ((False, seconds * 0.2), (True, seconds)):
        begun, before = time.perf_counter(), time.process_time()
        while True:
            start = time.perf_counter()
            loaded = app.load(aggregate)
            if loaded != events:
                raise RuntimeError(f"loaded {loaded} of {events} events")
            if is_measured:
                took.append(time.perf_counter() - start)
            if time.perf_counter() >= begun + time_of_it:
                break
    count = len(took) * events
    return shown(took, count, time.perf_counter() - begun, time.process_time() - before)


def conflicts(seconds):
    aggregate = 7
    apps = [connected(), connected()]
    insist(apps[0], aggregate, Source(0).executions(aggregate, 0, 1))
    until = time.perf_counter() + seconds

    def caller(number):
        told, source, count = {"stored": 0, "conflicts": 0, "errors": 0, "error": None}, Source(number + 1), 0
        while time.perf_counter() < until:
            try:
                stored = apps[number].command(aggregate, source.executions(aggregate, count, 1))
                told["stored" if stored else "conflicts"] += 1
            except Exception as error:
                told["errors"] += 1
                told["error"] = str(error)
            count += 1
        return told

    both = in_threads(2, caller)
    summed = {name: sum(told[name] for told in both) for name in ("stored", "conflicts", "errors")}
    summed["stored"] += 1
    summed["error"] = both[0]["error"] or both[1]["error"]
    return summed | {"found": connected().load(aggregate)}


def loss(seconds):
    app, follower = connected(), connected()
    seen, last, counts, changed = set(), {}, {"again": 0, "disordered": 0}, threading.Condition()

    def follow():
        with ApplicationSubscription(follower, gt=None) as subscription:
            followed.append(subscription)
            ready.set()
            for recorded, _ in subscription:
                if not isinstance(recorded, Posting.ScriptExecutionCompleted):
                    continue
                with changed:
                    see(recorded.actor_id, recorded.duration_ms)
                    changed.notify()

    def see(aggregate, number):
        if (aggregate, number) in seen:
            counts["again"] += 1
            return
        seen.add((aggregate, number))
        if number < last.get(aggregate, number):
            counts["disordered"] += 1
        last[aggregate] = max(number, last.get(aggregate, number))

    followed, ready = [], threading.Event()
    thread = threading.Thread(target=follow, daemon=True)
    thread.start()
    ready.wait()
    until = time.perf_counter() + seconds

    def writer(number):
        source, acknowledged, aggregate = Source(number), set(), number
        while time.perf_counter() < until:
            for index in range(EVENTS):
                insist(app, aggregate, source.executions(aggregate, index, 1))
                acknowledged.add((aggregate, index))
            aggregate += WRITERS
        return acknowledged

    wanted = set().union(*in_threads(WRITERS, writer))
    with changed:
        changed.wait_for(lambda: wanted <= seen, timeout=PATIENCE)
        answer = {"written": len(wanted), "missed": len(wanted - seen), **counts, "handler": False}
    followed[0].stop()
    return answer


FIGURES = {
    "command": lambda callers, seconds: commands(EVENTS, 1, int(callers), float(seconds)),
    "batch": lambda events, callers, seconds: commands(1, int(events), int(callers), float(seconds)),
    "load": lambda events, seconds: load(int(events), float(seconds)),
    "conflicts": lambda seconds: conflicts(float(seconds)),
    "loss": lambda seconds: loss(float(seconds)),
}

if __name__ == "__main__":
    status = 1
    try:
        figure, *arguments = sys.argv[2:] if IN_MEMORY else sys.argv[1:]
        print(json.dumps(FIGURES[figure](*arguments)), file=sys.stderr, flush=True)
        status = 0
    except Exception as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
    # threads of subscriptions that still wait for the server are of no use any more
    os._exit(status)
