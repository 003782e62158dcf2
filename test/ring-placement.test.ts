import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { parseNodeList, parseNodeName } from '../src/node-name.js';
import { Ring } from '../src/ring.js';
import { ROOT } from '../src/root.js';

const test = suite('ring placement');
const PARTITIONS = 65_536;

function namesOf(count: number): string[] {
  return parseNodeList(Array.from({ length: count }, (_, i) => `10.0.0.${i}:11211`)).map(({ name }) => name);
}

function ownersOf(names: string[]): string[] {
  const ring = new Ring(names);
  return Array.from({ length: PARTITIONS }, (_, partition) => names[ring.node(partition)]!);
}

test('another process places every partition on the same node', () => {
  const script = `
    import { Ring } from ${JSON.stringify(join(ROOT, 'dist/src/ring.js'))};
    const ring = new Ring(${JSON.stringify(namesOf(5))});
    console.log(Array.from({ length: 4096 }, (_, p) => ring.node(p * 16)).join(''));`;
  const there = execFileSync(process.execPath, ['--input-type=module', '-e', script], {
    encoding: 'utf8',
  }).trim();
  const ring = new Ring(namesOf(5));
  assert.is(there, Array.from({ length: 4096 }, (_, p) => ring.node(p * 16)).join(''));
});

test('placement is what it was when the protocol was written down', () => {
  const names = parseNodeList(['10.0.0.1', '10.0.0.2', '10.0.0.3']).map(({ name }) => name);
  const ring = new Ring(names);
  const first = Array.from({ length: 32 }, (_, partition) => ring.node(partition)).join('');
  assert.is(first, '21000121220001121212222002012020');
});

test('the order and the repetition of nodes in the list do not matter', () => {
  const one = parseNodeList(['b:1', 'A:2', 'c', 'b:1', 'C:11211']);
  const other = parseNodeList(['c:11211', 'a:2', 'B:1']);
  assert.equal(one, other);
  assert.equal(
    one.map(({ name }) => name),
    ['a:2', 'b:1', 'c:11211'],
  );
});

test('load is even: no node of 3, 16 or 64 has more than 1.1 times its share', () => {
  for (const count of [3, 16, 64]) {
    const shares = new Map<string, number>();
    for (const owner of ownersOf(namesOf(count))) shares.set(owner, (shares.get(owner) ?? 0) + 1);
    const ratio = (Math.max(...shares.values()) * count) / PARTITIONS;
    assert.ok(ratio < 1.1, `${count} nodes: ${ratio}`);
  }
});

test('adding a node moves only the share that it takes', () => {
  const before = ownersOf(namesOf(8));
  const after = ownersOf(namesOf(9));
  const moved = after.filter((owner, partition) => owner !== before[partition]);
  assert.ok(moved.length < (PARTITIONS / 9) * 1.15, String(moved.length));
  assert.equal([...new Set(moved)], ['10.0.0.8:11211']);
});

test('replicas are distinct nodes, the owner first', () => {
  const ring = new Ring(namesOf(4));
  for (let partition = 0; partition < 100; partition++) {
    const nodes = ring.nodes(partition, 3);
    assert.is(new Set(nodes).size, 3);
    assert.is(nodes[0], ring.node(partition));
  }
  assert.is(ring.nodes(7, 9).length, 4, 'no more than there are');
});

test('node names of every form are read, all others refused', () => {
  assert.equal(parseNodeName('Host'), { name: 'host:11211', host: 'host', port: 11211 });
  assert.equal(parseNodeName(' 10.1.2.3:5 '), { name: '10.1.2.3:5', host: '10.1.2.3', port: 5 });
  assert.equal(parseNodeName('[FE80::1]:7'), { name: '[fe80::1]:7', host: 'fe80::1', port: 7 });
  const zoned = { name: '[fe80::1%Eth0]:11211', host: 'fe80::1%Eth0', port: 11211 };
  assert.equal(parseNodeName('[FE80::1%Eth0]'), zoned);
  for (const text of [
    '',
    ':1',
    'a:0',
    'a:65536',
    'a:b',
    'a b',
    'fe80::1',
    '[10.0.0.1]:1',
    '[::1',
    'a/b',
    'ä:1',
  ]) {
    assert.throws(() => parseNodeName(text), /is no storage node/, text);
  }
  assert.throws(() => parseNodeList([]), /node list is empty/);
});

test.run();
