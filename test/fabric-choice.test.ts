import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { good } from '../bin/doctor/check.js';
import { absenceOf, checkFabrics } from '../bin/doctor/fabric.js';
import { judgeFabrics, parseFabric, wayName } from '../src/fabric-choice.js';
import { deviceFault, fabricDevices } from '../src/fabric-devices.js';
import { providerFilter, refusalOf } from '../src/fabric-providers.js';
import type { FabricSurvey, FabricWay } from '../src/native.js';

const test = suite('choice of a fabric');
const none = providerFilter('');

function way(name: string, endpoint: FabricWay['endpoint'], change: Partial<FabricWay> = {}): FabricWay {
  const [provider, device] = name.split('/') as [string, string];
  return { provider, device, endpoint, reads: true, here: true, ...change };
}

function survey(...ways: FabricWay[]): FabricSurvey {
  return { version: '1.17', providers: ways.map(({ provider }) => provider), ways };
}

/** The names of those that may be taken, in order. */
function usable(wanted: string, ways: FabricWay[], filter = none): string[] {
  const judged = judgeFabrics(parseFabric(wanted) as 'auto', survey(...ways), filter);
  return judged.filter(({ rank }) => rank !== null).map(wayName);
}

/** Why a way is not taken. */
function reason(wanted: string, one: FabricWay, filter = none): string {
  return judgeFabrics(parseFabric(wanted) as 'auto', survey(one), filter)[0]!.reason;
}

const software = [way('net/eth0', 'msg'), way('sockets/eth0', 'msg'), way('tcp;ofi_rxm/eth0', 'rdm')];

test('connected endpoints on verbs come first, then devices with reliable datagrams, in the order of libfabric', () => {
  const ways = [
    ...software,
    way('efa/rdmap0', 'rdm'),
    way('verbs/mlx5_0', 'msg'),
    way('verbs;ofi_rxm/mlx5_0', 'rdm'),
    way('verbs/mlx5_1', 'msg'),
    way('cxi/cxi0', 'rdm'),
  ];
  assert.equal(usable('auto', ways), [
    'verbs/mlx5_0 (msg)',
    'verbs/mlx5_1 (msg)',
    'efa/rdmap0 (rdm)',
    'cxi/cxi0 (rdm)',
  ]);
});

for (const provider of ['efa', 'cxi', 'opx', 'psm3', 'psm2']) {
  test(`a host that has nothing but ${provider} is read over its reliable datagrams`, () => {
    assert.equal(usable('auto', [...software, way(`${provider}/x0`, 'rdm')]), [`${provider}/x0 (rdm)`]);
  });
}

test('software is never taken by itself, but by its name', () => {
  assert.equal(usable('auto', software), []);
  assert.equal(usable('net', software), ['net/eth0 (msg)']);
  assert.equal(usable('tcp;ofi_rxm', software), ['tcp;ofi_rxm/eth0 (rdm)']);
  assert.match(reason('auto', software[0]!), /software only; --fabric net.*trusted peers only/);
  assert.match(reason('auto', way('newfangled/x', 'msg')), /not known/);
});

test('a device can be asked for, and the others are not taken then', () => {
  const ways = [way('verbs/mlx5_0', 'msg'), way('verbs/mlx5_1', 'msg')];
  assert.equal(usable('verbs/mlx5_1', ways), ['verbs/mlx5_1 (msg)']);
  assert.equal(usable('verbs/mlx5_2', ways), []);
  assert.match(reason('verbs/mlx5_2', ways[0]!), /verbs\/mlx5_2 was asked for/);
});

test('what cannot read remote memory, is elsewhere or is not safe is not taken, and says so', () => {
  assert.match(reason('auto', way('verbs/mlx5_0', 'dgram')), /datagram/);
  assert.match(reason('auto', way('psm2/hfi1_0', 'rdm', { reads: false })), /cannot read remote memory/);
  assert.match(reason('auto', way('verbs/mlx5_0', 'msg', { here: false })), /not at this address/);
  assert.match(reason('verbs', way('verbs/verbs_any_domain', 'msg')), /-l ADDRESS/);
});

test('net and tcp are one provider, by either name, and so are the two that ofi_rxm can lie over', () => {
  assert.equal(parseFabric('tcp'), parseFabric('net'));
  assert.equal(parseFabric('tcp/eth0'), { provider: 'net', device: 'eth0' });
  assert.equal(parseFabric('net;ofi_rxm'), parseFabric('tcp;ofi_rxm'));
  assert.equal(usable('tcp', software), ['net/eth0 (msg)']);
  assert.equal(usable('net;ofi_rxm', software), ['tcp;ofi_rxm/eth0 (rdm)']);
  for (const text of ['net', 'tcp', 'verbs, tcp']) {
    const filter = providerFilter(text);
    const names = ['net', 'tcp', 'tcp;ofi_rxm'];
    assert.equal([names.every(filter.allows), names.every(filter.names)], [true, true], text);
    assert.equal(names.some(providerFilter(`^${text}`).allows), false, text);
  }
});

test('what Volley does not use is not taken by anybody, and says what is', () => {
  const cases: [string, RegExp][] = [
    ['shm', /access control.*local transport/],
    ['sm2', /access control.*local transport/],
    ['sockets', /no longer maintains.*--fabric net/],
    ['tcp', /without an answer.*--fabric tcp means net/],
    ['net;ofi_rxm', /'tcp;ofi_rxm'/],
  ];
  for (const [provider, why] of cases) {
    for (const endpoint of ['msg', 'rdm'] as const) {
      const one = way(`${provider}/x`, endpoint);
      for (const filter of [none, providerFilter(provider)]) {
        assert.equal(usable('auto', [one], filter), [], provider);
        assert.match(reason('auto', one, filter), why);
      }
    }
    assert.match(refusalOf(provider)!, why);
  }
  for (const fine of ['verbs', 'net', 'tcp;ofi_rxm', 'efa', 'constructor'])
    assert.is(refusalOf(fine), null, fine);
  assert.is(refusalOf('sockets;ofi_rxd')?.includes('sockets'), true);
});

test('FI_PROVIDER limits the choice, and asks for what it names', () => {
  const ways = [...software, way('verbs/mlx5_0', 'msg'), way('efa/rdmap0', 'rdm')];
  assert.equal(usable('auto', ways, providerFilter('net,efa')), ['net/eth0 (msg)', 'efa/rdmap0 (rdm)']);
  assert.equal(usable('auto', software, providerFilter('^verbs')), []);
  const filter = providerFilter('^verbs,tcp');
  assert.equal(
    ['verbs', 'verbs;ofi_rxm', 'tcp', 'efa'].map((name) => filter.allows(name)),
    [false, false, false, true],
  );
  assert.is(filter.names('tcp'), false);
  assert.match(reason('auto', way('net/eth0', 'msg'), providerFilter('net')), /FI_PROVIDER=net asks for it/);
});

test('--fabric takes auto, off, a provider and a device, and nothing else', () => {
  assert.is(parseFabric('off'), 'off');
  assert.equal(parseFabric('verbs/mlx5_0'), { provider: 'verbs', device: 'mlx5_0' });
  assert.equal(parseFabric('tcp;ofi_rxm'), { provider: 'tcp;ofi_rxm', device: null });
  for (const text of ['', '/', 'verbs/', '/mlx5_0', 'a b', 'verbs/\n', `${'x'.repeat(65)}`]) {
    assert.throws(() => parseFabric(text), /it must be auto, off, or PROVIDER/, JSON.stringify(text));
  }
});

test('why a provider has nothing to offer is told from the devices and their ports', () => {
  const root = mkdtempSync(join(tmpdir(), 'volley-test-'));
  try {
    const port = (device: string, state: string) => {
      const folder = join(root, 'infiniband', device, 'ports', '1');
      mkdirSync(folder, { recursive: true });
      writeFileSync(join(folder, 'state'), `${state}\n`);
    };
    const absence = (providers: string[], filter = none) =>
      absenceOf('verbs', { providers }, fabricDevices(root), filter);
    assert.match(absence([]), /no device/);
    assert.match(absence(['verbs'], providerFilter('net')), /FI_PROVIDER=net excludes it/);
    port('mlx5_0', '1: DOWN');
    assert.match(absence(['verbs']), /port down: mlx5_0 is DOWN/);
    port('mlx5_1', '4: ACTIVE');
    assert.equal(fabricDevices(root), [
      { name: 'mlx5_0', portStates: ['DOWN'], networkInterface: '' },
      { name: 'mlx5_1', portStates: ['ACTIVE'], networkInterface: '' },
    ]);
    assert.match(absence([]), /ibverbs-providers/);
    mkdirSync(join(root, 'cxi', 'cxi0'), { recursive: true });
    assert.is(fabricDevices(root).length, 3);
  } finally {
    rmSync(root, { recursive: true });
  }
});

test('a device with a dash in its name is told of, with the command that renames it', async () => {
  const root = mkdtempSync(join(tmpdir(), 'volley-test-'));
  try {
    const add = (device: string) => {
      const port = join(root, 'infiniband', device, 'ports', '1');
      mkdirSync(port, { recursive: true });
      writeFileSync(join(port, 'state'), '4: ACTIVE\n');
    };
    const check = async () => {
      const { checks } = await checkFabrics(good('locked memory', 'unlimited'), fabricDevices(root));
      return checks.find(({ name }) => name === 'rdma devices')!;
    };
    add('rxe0');
    assert.equal(await check(), good('rdma devices', 'rxe0 ACTIVE'));
    assert.not.match(deviceFault('verbs', '10.0.0.1', root), /dash/);
    add('siw-eth0-1');
    const { state, detail, help } = await check();
    assert.is(state, 'limited');
    assert.match(detail, /dash in its name: siw-eth0-1$/);
    assert.is(help, 'rdma dev set siw-eth0-1 name siw_eth0_1');
    assert.match(deviceFault('verbs', '10.0.0.1', root), /dash.*rdma dev set siw-eth0-1 name siw_eth0_1/);
  } finally {
    rmSync(root, { recursive: true });
  }
});

test.run();
