// Storms a node from a process of its own, so that the well-behaved client's timings are its own, too.
//
//   node storm-process.js PORT CONNECTIONS LIFE_MS SEED    until its stdin ends; prints what it has done as JSON
import { Random } from './random.js';
import { Storm } from './storm.js';

const [port, connections, lifeMs, seed] = process.argv.slice(2).map(Number);
const storm = new Storm(port!, new Random(seed!), lifeMs!);
storm.start(connections!);
let most = 0;
const timer = setInterval(() => {
  most = Math.max(most, storm.connected);
}, 100);
process.stdin.resume().on('end', () => {
  clearInterval(timer);
  storm.stop();
  console.log(JSON.stringify({ connections: most, counts: Object.fromEntries(storm.counts) }));
});
