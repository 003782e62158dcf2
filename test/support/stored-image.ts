import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startMemcached, type TestNode, withCluster, withNodes } from './nodes.js';

/** A memcached that holds an image called `a`, and an empty folder. */
export async function withStoredImage(
  content: Buffer,
  work: (node: TestNode, folder: string) => Promise<void>,
): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'volley-test-'));
  try {
    await withNodes([() => startMemcached()], async (node) => {
      await withCluster([node!], async (cluster) => {
        await cluster.upload(content, { name: 'a' });
      });
      await work(node!, folder);
    });
  } finally {
    rmSync(folder, { recursive: true });
  }
}
