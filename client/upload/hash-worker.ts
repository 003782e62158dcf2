import { parentPort } from 'node:worker_threads';
import { type HashJob, type HashResult, runHashJob } from './hash-job.js';

/** A hashing thread of an upload: takes HashJobs, answers HashResults. */
parentPort!.on('message', (job: HashJob) => {
  const result: HashResult = { id: job.id, fault: runHashJob(job) };
  parentPort!.postMessage(result);
});
parentPort!.postMessage('ready');
