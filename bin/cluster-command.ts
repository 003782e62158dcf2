import { type Command, Option } from 'commander';
import type { Cluster, WantedTransport } from '../client/index.js';
import { chooseCredentials, chooseNodes } from '../src/config.js';
import { chooseTls, type TlsFlags } from '../src/tls-settings.js';
import { formatDuration } from '../src/units.js';
import { withSignals } from './signals.js';
import { parseNodeTimeout, parsePath } from './values.js';

const NODE_TIMEOUT_MS = 5000;
const FABRIC_HELP =
  'fabric to read over: PROVIDER or PROVIDER/DEVICE, or auto (what the node offers), or off';

/** Options of every command that talks to storage nodes. */
export interface ClusterFlags extends TlsFlags {
  nodes?: string;
  /** In milliseconds. */
  timeout: number;
  fabric?: string;
  json?: boolean;
}

/** Adds --nodes, --timeout, the options of TLS and --json to a command. @param timeout another name for --timeout */
export function addClusterOptions(command: Command, timeout = '--timeout'): Command {
  return command
    .option('--nodes <list>', 'storage nodes, host:port separated by commas')
    .addOption(
      new Option(`${timeout} <time>`, 'how long a node may let pass without an answer')
        .argParser(parseNodeTimeout)
        .default(NODE_TIMEOUT_MS, formatDuration(NODE_TIMEOUT_MS)),
    )
    .option('--tls', 'speak TLS to the nodes')
    .option('--tls-ca <file>', 'authorities of their certificates, PEM', parsePath)
    .option('--tls-cert <file>', 'certificate to show them, PEM', parsePath)
    .option('--tls-key <file>', 'its private key, PEM', parsePath)
    .option('--tls-server-name <name>', 'name in their certificates (default: the host)')
    .option('--json', 'print one JSON document');
}

/** --transport and --fabric, of commands that read images. */
export function addTransportOptions(command: Command): Command {
  return command
    .addOption(
      new Option('--transport <how>', 'how to read chunks')
        .choices(['auto', 'local', 'fabric', 'tcp'])
        .default('auto'),
    )
    .option('--fabric <provider>', FABRIC_HELP, 'auto');
}

/**
 * Connects to the cluster that the flags name, does the work and closes. SIGINT, SIGTERM and SIGHUP fire the signal that
 * the work gets.
 */
export async function withCluster(
  flags: ClusterFlags,
  transport: WantedTransport,
  work: (cluster: Cluster, signal: AbortSignal) => Promise<void>,
): Promise<void> {
  const { Cluster } = await import('../client/index.js');
  const { nodes } = chooseNodes(flags.nodes);
  await withSignals(async (signal) => {
    const credentials = chooseCredentials();
    const cluster = await Cluster.connect({
      nodes,
      transport,
      fabric: flags.fabric ?? 'auto',
      credentials,
      tls: chooseTls(flags),
      timeoutMs: flags.timeout,
      signal,
    });
    try {
      await work(cluster, signal);
    } finally {
      await cluster.close();
    }
  });
}
