// Emmett on PostgreSQL and in memory, as the driver runs it: the figures and the line of JSON of the
// Rust peers' harness. A caller is a chain of promises, all in Node's one thread.

import { CommandHandler, getInMemoryEventStore, isExpectedVersionConflictError } from '@event-driven-io/emmett';
import { getPostgreSQLEventStore, postgreSQLEventStoreConsumer } from '@event-driven-io/emmett-postgresql';

const EVENTS = 10;
const WRITERS = 8;
const PATIENCE_MS = 20_000;
const url = process.env.DATABASE_URL;
// the first word, before a figure's
const isInMemory = process.argv[2] === 'memory';

const initialState = () => ({ outputs: new Map(), events: 0 });
const evolve = (state, { data, metadata }) => {
  state.outputs.set(metadata.conversation_id, data.output);
  state.events += 1;
  return state;
};
const handle = CommandHandler({ evolve, initialState, mapToStreamId: (id) => `posting-${id}` });

// the tables are made before, so that no store looks for them
const connected = () =>
  isInMemory ? getInMemoryEventStore() : getPostgreSQLEventStore(url, { schema: { autoMigration: 'None' } });

async function prepare() {
  if (isInMemory) return;
  const store = getPostgreSQLEventStore(url);
  await store.schema.migrate();
  await store.close();
}

/** Loads, decides and appends; answers whether it is stored. */
async function command(store, aggregate, events) {
  try {
    await handle(store, String(aggregate), () => events);
    return true;
  } catch (error) {
    if (isExpectedVersionConflictError(error)) return false;
    throw error;
  }
}

async function insist(store, aggregate, events) {
  while (!(await command(store, aggregate, events)));
}

async function loaded(store, aggregate) {
  const { state } = await store.aggregateStream(`posting-${aggregate}`, { evolve, initialState });
  return state.events;
}

function text() {
  const letters = 'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ';
  const letter = () => letters[Math.floor(Math.random() * letters.length)];
  return Array.from({ length: 148 }, letter).join('');
}

const texts = Array.from({ length: 64 }, text);
const anyOf = (count) => Math.floor(Math.random() * count);

const executions = (aggregate, first, count) =>
  Array.from({ length: count }, (_, index) => ({
    type: 'ScriptExecutionCompleted',
    data: { output: texts[anyOf(texts.length)], status: 'SUCCESS' },
    metadata: {
      conversation_id: 9184 + anyOf(16),
      actor_id: aggregate,
      duration_ms: first + index,
      causation_id: '019a1b2c-3d4e-7f50-8f50-0123456789ab',
      correlation_id: 'workflow_3001_posting_12345',
    },
  }));

const now = () => performance.now();
const cpu = () => {
  const { user, system } = process.cpuUsage();
  return user + system;
};
const numbers = (count) => Array.from({ length: count }, (_, number) => number);

async function callers(store, { commands, events }, count, first, seconds) {
  const begun = now();
  const until = begun + seconds * 1000;
  const took = [];
  let next = first;
  const caller = async (number) => {
    let aggregate = first + number;
    while (now() < until) {
      for (let index = 0; index < commands; index++) {
        const batch = executions(aggregate, index * events, events);
        const start = now();
        if (start >= until) break;
        await insist(store, aggregate, batch);
        took.push(now() - start);
      }
      aggregate += count;
    }
    next = Math.max(next, aggregate + count);
  };
  await Promise.all(numbers(count).map(caller));
  return { took, lasted: (now() - begun) / 1000, next };
}

function shown(took, events, seconds, micros) {
  took.sort((a, b) => a - b);
  const within = (hundredths) => took[Math.min(Math.floor((took.length * hundredths) / 100), took.length - 1)];
  const [p50, p99] = [50, 99].map((hundredths) => within(hundredths) * 1000);
  return { rate: events / seconds, p50, p99, cpu: micros / events };
}

async function commands(shape, count, seconds) {
  const store = connected();
  const { next } = await callers(store, shape, count, 0, seconds * 0.2);
  const before = cpu();
  const { took, lasted } = await callers(store, shape, count, next, seconds);
  return shown(took, took.length * shape.events, lasted, cpu() - before);
}

async function load(events, seconds) {
  const store = connected();
  const aggregate = 50;
  for (const other of numbers(100).filter((number) => number !== aggregate)) {
    for (const number of numbers(EVENTS)) await insist(store, other, executions(other, number, 1));
  }
  for (let first = 0; first < events; first += 100) {
    await insist(store, aggregate, executions(aggregate, first, Math.min(100, events - first)));
  }
  let took, begun, before;
  for (const time of [seconds * 0.2, seconds]) {
    [took, begun, before] = [[], now(), cpu()];
    do {
      const start = now();
      const found = await loaded(store, aggregate);
      if (found !== events) throw new Error(`loaded ${found} of ${events} events`);
      took.push(now() - start);
    } while (now() < begun + time * 1000);
  }
  return shown(took, took.length * events, (now() - begun) / 1000, cpu() - before);
}

async function conflicts(seconds) {
  const aggregate = 7;
  const told = { stored: 1, conflicts: 0, errors: 0, error: null };
  const stores = [connected(), connected()];
  await insist(stores[0], aggregate, executions(aggregate, 0, 1));
  const until = now() + seconds * 1000;
  const caller = async (store) => {
    while (now() < until) {
      try {
        const stored = await command(store, aggregate, executions(aggregate, 0, 1));
        told[stored ? 'stored' : 'conflicts'] += 1;
      } catch (error) {
        told.errors += 1;
        told.error = String(error);
      }
    }
  };
  await Promise.all(stores.map(caller));
  return { ...told, found: await loaded(connected(), aggregate) };
}

async function loss(seconds) {
  const [seen, last] = [new Set(), new Map()];
  let [again, disordered] = [0, 0];
  let onSeen = () => {};
  const see = ({ metadata: { actor_id: aggregate, duration_ms: number } }) => {
    const id = `${aggregate}/${number}`;
    if (seen.has(id)) {
      again += 1;
      return;
    }
    seen.add(id);
    if (number < (last.get(aggregate) ?? number)) disordered += 1;
    last.set(aggregate, Math.max(number, last.get(aggregate) ?? number));
    onSeen();
  };
  const consumer = postgreSQLEventStoreConsumer({ connectionString: url });
  consumer.reactor({ processorId: 'told', eachMessage: see });
  const following = consumer.start();
  const store = connected();
  const wanted = new Set();
  const until = now() + seconds * 1000;
  const writer = async (first) => {
    for (let aggregate = first; now() < until; aggregate += WRITERS) {
      for (const number of numbers(EVENTS)) {
        await insist(store, aggregate, executions(aggregate, number, 1));
        wanted.add(`${aggregate}/${number}`);
      }
    }
  };
  await Promise.all(numbers(WRITERS).map(writer));
  const missed = () => [...wanted].filter((id) => !seen.has(id)).length;
  await Promise.race([
    new Promise((done) => setTimeout(done, PATIENCE_MS)),
    new Promise((done) => {
      onSeen = () => seen.size >= wanted.size && missed() === 0 && done();
      onSeen();
    }),
    following,
  ]);
  return { written: wanted.size, missed: missed(), again, disordered, handler: false };
}

const figures = {
  command: (count, seconds) => commands({ commands: EVENTS, events: 1 }, count, seconds),
  batch: (events, count, seconds) => commands({ commands: 1, events }, count, seconds),
  load,
  conflicts,
  loss,
};

const [figure, ...words] = process.argv.slice(isInMemory ? 3 : 2);
try {
  await prepare();
  console.error(JSON.stringify(await figures[figure](...words.map(Number))));
  process.exit(0);
} catch (error) {
  console.error(String(error));
  process.exit(1);
}
