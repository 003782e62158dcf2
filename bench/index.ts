import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { parseArgs } from 'node:util';
import { bootTime } from './experiments/boot-time.js';
import { chunkSizes } from './experiments/chunk-sizes.js';
import { indexTraffic } from './experiments/index-traffic.js';
import { loadFabric } from './experiments/load-fabric.js';
import { loadLocal } from './experiments/load-local.js';
import { loadTcp } from './experiments/load-tcp.js';
import { memory } from './experiments/memory.js';
import { micro } from './experiments/micro.js';
import { nodeSpeed } from './experiments/node-speed.js';
import { upload } from './experiments/upload.js';
import { type Figure, machine, printFigures } from './support/figures.js';

const EXPERIMENTS: Record<string, () => Promise<Figure[]>> = {
  'load-local': loadLocal,
  'load-tcp': loadTcp,
  'load-fabric': loadFabric,
  'index-traffic': indexTraffic,
  upload,
  'node-speed': nodeSpeed,
  boot: bootTime,
};

/** Run only when asked for: they take longer, or tell of parts. */
const MORE: Record<string, () => Promise<Figure[]>> = {
  'chunk-sizes': chunkSizes,
  memory,
  micro,
};

const USAGE = `usage: npm run bench -- [EXPERIMENT…] [--json FILE]

Measures Volley beside its references in the same run: median of several rounds, thousands of distinct chunks.
Experiments: ${Object.keys(EXPERIMENTS).join(', ')} (these by default);
  ${Object.keys(MORE).join(', ')} (when asked for)
Nothing else should run on the machine meanwhile.
`;

async function main(): Promise<number> {
  const options = { json: { type: 'string' }, help: { type: 'boolean', short: 'h' } } as const;
  const { values, positionals } = parseArgs({ options, allowPositionals: true });
  const names = positionals.length > 0 ? positionals : Object.keys(EXPERIMENTS);
  const experiments = { ...EXPERIMENTS, ...MORE };
  const unknown = names.find((name) => !(name in experiments));
  if (values.help || unknown !== undefined) {
    process.stderr.write(
      unknown === undefined ? USAGE : `bench: no experiment is called ${unknown}\n${USAGE}`,
    );
    return unknown === undefined ? 0 : 2;
  }
  process.stdout.write(`${machine()}\n`);
  const figures: Figure[] = [];
  for (const name of names) {
    process.stderr.write(`bench: ${name}…\n`);
    const measured = await experiments[name]!();
    if (measured.length > 0) printFigures(measured);
    figures.push(...measured);
  }
  if (values.json !== undefined) {
    mkdirSync(dirname(values.json), { recursive: true });
    const report = { machine: machine(), date: new Date().toISOString(), figures };
    writeFileSync(values.json, `${JSON.stringify(report, null, 2)}\n`);
  }
  return 0;
}

try {
  process.exitCode = await main();
} catch (error) {
  process.stderr.write(`bench: ${(error as Error).message}\n`);
  process.exitCode = 1;
}
