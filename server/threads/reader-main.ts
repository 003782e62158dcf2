import { parentPort, workerData } from 'node:worker_threads';
import type { FromThread, ThreadSetup, ToThread } from './messages.js';
import { ReaderThread } from './reader-thread.js';

/** Where a reader thread begins: takes what ToThread tells, tells what FromThread tells. */
const tell = (event: FromThread) => parentPort!.postMessage(event);
const thread = new ReaderThread(workerData as ThreadSetup, tell);
parentPort!.on('message', (message: ToThread) => thread.handle(message));
tell({ event: 'ready' });
