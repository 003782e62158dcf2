import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { DigestSet } from '../src/digest-set.js';
import { randomBytes } from './support/seed.js';

const test = suite('digest set');

test('it agrees with a Set of texts, over growth, for random digests', () => {
  const set = new DigestSet();
  const ordinals = new Map<string, number>();
  const digests = randomBytes(16 * 5000);
  for (let round = 0; round < 2; round++) {
    for (let offset = 0; offset < digests.length; offset += 16) {
      const text = digests.toString('hex', offset, offset + 16);
      if (!ordinals.has(text)) ordinals.set(text, ordinals.size);
      assert.is(set.add(digests, offset), ordinals.get(text));
    }
  }
  assert.is(set.size, 5000);
  for (const [text, ordinal] of ordinals) {
    assert.is(set.find(Buffer.from(text, 'hex')), ordinal);
    assert.is(set.digest(ordinal).toString('hex'), text);
  }
  assert.is(set.find(randomBytes(16)), -1);
});

test('digests that differ in one byte only are different ones', () => {
  const set = new DigestSet();
  const digests = Array.from({ length: 16 * 255 }, (_, i) => {
    const digest = Buffer.alloc(16);
    digest[i % 16] = 1 + Math.floor(i / 16);
    return digest;
  });
  digests.forEach((digest, i) => {
    assert.is(set.add(digest), i);
  });
  digests.forEach((digest, i) => {
    assert.is(set.find(digest), i);
  });
});

test('digests that begin alike do not make it slow', () => {
  const set = new DigestSet();
  const digest = Buffer.alloc(16, 7);
  const startMs = performance.now();
  for (let i = 0; i < 200_000; i++) {
    digest.writeUInt32LE(i, 12);
    set.add(digest);
  }
  assert.is(set.size, 200_000);
  assert.ok(performance.now() - startMs < 3000);
});

test.run();
