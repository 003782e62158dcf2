import { run, setKernelVariable } from './commands.js';

/** Ends of the two links, and the routing table of each. */
const SIDES = [
  { device: 'rdma-near', link: 'near', plug: 'near-plug', address: '10.9.0.1', table: '100' },
  { device: 'rdma-far', link: 'far', plug: 'far-plug', address: '10.9.0.2', table: '101' },
] as const;
const SWITCH = 'switch';

/**
 * Two Soft-RoCE devices of this machine on either side of a switch (a bridge), so that the cable of one of them can be
 * pulled. Soft-RoCE sends and receives in the first network namespace only, so both are in it, and rules of routing take
 * what goes from one to the other over the wire, which would else never leave the machine. Needs the modules veth and
 * bridge. It lasts as long as the machine.
 */
export class Cable {
  readonly near = SIDES[0].address;
  readonly far = SIDES[1].address;

  constructor() {
    run('ip', 'link', 'add', SWITCH, 'type', 'bridge');
    run('ip', 'link', 'set', SWITCH, 'up');
    for (const { link, plug, address } of SIDES) {
      run('ip', 'link', 'add', link, 'type', 'veth', 'peer', 'name', plug);
      run('ip', 'link', 'set', plug, 'master', SWITCH, 'up');
      run('ip', 'address', 'add', `${address}/32`, 'dev', link);
      run('ip', 'link', 'set', link, 'up');
      // What comes in is for this machine, and from an address of this machine.
      run('ip', 'rule', 'add', 'preference', '10', 'iif', link, 'lookup', 'local');
    }
    for (const name of ['all', ...SIDES.map(({ link }) => link)]) {
      setKernelVariable(`net/ipv4/conf/${name}/rp_filter`, '0');
      setKernelVariable(`net/ipv4/conf/${name}/accept_local`, '1');
    }
    this.#route(SIDES[0], SIDES[1].address);
    this.#route(SIDES[1], SIDES[0].address);
    run('ip', 'rule', 'add', 'preference', '30', 'lookup', 'local');
    run('ip', 'rule', 'delete', 'preference', '0');
    for (const { device, link } of SIDES) run('rdma', 'link', 'add', device, 'type', 'rxe', 'netdev', link);
  }

  #route({ link, address, table }: (typeof SIDES)[number], to: string): void {
    run('ip', 'route', 'add', `${to}/32`, 'dev', link, 'src', address, 'table', table);
    run('ip', 'rule', 'add', 'preference', '20', 'to', to, 'lookup', table);
  }

  /** Pulls the cable of the far side: it sees no carrier; the near side sees nothing but silence. */
  pull(): void {
    run('ip', 'link', 'set', SIDES[1].plug, 'down');
  }

  plug(): void {
    run('ip', 'link', 'set', SIDES[1].plug, 'up');
  }
}
