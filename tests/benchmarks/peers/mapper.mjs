// tardis-node's own mapper of book changes, on the frames of a file: the CPU time of a round, and what it maps.
//
//     node mapper.mjs FOLDER EXCHANGE FRAMES BEFORE TIMES WARM_UP
//
// FOLDER has node_modules, EXCHANGE is the peer's id of one. FRAMES holds frames, each behind its length of four bytes,
// little-endian: BEFORE of them, which bring each book to its beginning, then the updates. A round plays the updates TIMES
// times, each time with a mapper that has read what is before. WARM_UP updates are played before anything is answered.
//
// Each line of standard input is a command, answered by one line of JSON: `round` or `changes`.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";

const LENGTH_BYTES = 4;

const [folder, exchange, file, ...numbers] = process.argv.slice(2);
const [before, times, warmUp] = numbers.map(Number);
const { normalizeBookChanges } = createRequire(join(resolve(folder), "package.json"))("tardis-dev");

// The peer takes the channels of a live feed for a time that is now.
const now = new Date();
const frames = split(readFileSync(file));
const beginning = frames.slice(0, before);
const updates = frames.slice(before);

function split(bytes) {
  const found = [];
  for (let at = 0; at < bytes.length; ) {
    const start = at + LENGTH_BYTES;
    at = start + bytes.readUInt32LE(at);
    found.push(bytes.subarray(start, at));
  }
  return found;
}

// As the peer's live feed does it: JSON.parse of the bytes as they came, canHandle, map. Its asynchronous generators
// around that are left out.
function play(mapper, played) {
  let changes = 0;
  let levels = 0;
  for (const frame of played) {
    const message = JSON.parse(frame);
    if (!mapper.canHandle(message)) continue;
    for (const change of mapper.map(message, now)) {
      changes += 1;
      levels += change.bids.length + change.asks.length;
    }
  }
  return { changes, levels };
}

function begun() {
  const mapper = normalizeBookChanges(exchange, now);
  play(mapper, beginning);
  return mapper;
}

// All mappers are made first, so that updates alone are timed. The collector runs when it will: after one that is asked
// for, the updates that follow take up to twice as long.
function round() {
  const mappers = Array.from({ length: times }, begun);
  let counts;
  const cpu = process.cpuUsage();
  for (const mapper of mappers) counts = play(mapper, updates);
  const { user, system } = process.cpuUsage(cpu);
  return { cpu_us: (user + system) / (times * updates.length), frames: updates.length, ...counts };
}

// What it gives for each update, in order: a list of changes, as a rule of one.
function changes() {
  const mapper = begun();
  return updates.map((frame) => {
    const message = JSON.parse(frame);
    return mapper.canHandle(message) ? Array.from(mapper.map(message, now), brief) : [];
  });
}

function brief({ symbol, isSnapshot, bids, asks }) {
  return { symbol, is_snapshot: isSnapshot, bids: bids.map(pair), asks: asks.map(pair) };
}

function pair({ price, amount }) {
  return [price, amount];
}

const commands = { round, changes };

for (let played = 0; played < warmUp; played += updates.length) play(begun(), updates);
for await (const line of createInterface({ input: process.stdin })) {
  process.stdout.write(`${JSON.stringify(commands[line]())}\n`);
}
