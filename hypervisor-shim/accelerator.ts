import { type KvmProbe, probeKvm } from './kvm.js';
import type { Accelerator } from './machine.js';

export interface AcceleratorChoice {
  accelerator: Accelerator;
  reason: string;
}

const probes = new Map<string, Promise<KvmProbe>>();

/** KVM where it is asked for or, with `auto`, where a probe shows that it runs (probed once per process); else TCG. */
export async function chooseAccelerator(
  wish: 'auto' | Accelerator,
  qemu: string,
): Promise<AcceleratorChoice> {
  if (wish !== 'auto') return { accelerator: wish, reason: 'asked for' };
  let probe = probes.get(qemu);
  if (!probe) {
    probe = probeKvm({ qemu });
    probes.set(qemu, probe);
  }
  const { usable, reason } = await probe;
  return { accelerator: usable ? 'kvm' : 'tcg', reason: usable ? reason : `no KVM: ${reason}` };
}
