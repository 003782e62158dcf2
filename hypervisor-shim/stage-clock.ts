/** Points in a boot's life, in the order in which they come. */
export const BOOT_POINTS = [
  'spawn', // QEMU was started
  'monitor', // QEMU's monitor answers
  'loaded', // kernel and initrd stand in guest memory, verified
  'firmware', // the stub runs: firmware and setup code are done
  'doorbell', // the kernel was let go
  'kernel', // its first line came over the serial port
  'userspace', // the marker of userspace came
  'until', // the text that was waited for came
  'end', // QEMU has ended
] as const;
export type BootPoint = (typeof BOOT_POINTS)[number];

/** When a point was reached, in milliseconds; `sinceSpawn` is null before QEMU was started. */
export interface PointTimes {
  sinceStart: number;
  sinceSpawn: number | null;
}

/** Notes when each point of a boot is reached. */
export class StageClock {
  readonly #startedAt: number;
  readonly #at = new Map<BootPoint, number>();

  /** @param startedAt performance.now() of the moment from which `sinceStart` counts */
  constructor(startedAt: number = performance.now()) {
    this.#startedAt = startedAt;
  }

  /** Notes the point as reached now; only the first time counts. */
  reach(point: BootPoint): void {
    if (!this.#at.has(point)) this.#at.set(point, performance.now());
  }

  reached(point: BootPoint): boolean {
    return this.#at.has(point);
  }

  /** Every point reached, in the order of BOOT_POINTS. */
  times(): Partial<Record<BootPoint, PointTimes>> {
    const spawn = this.#at.get('spawn');
    const times: Partial<Record<BootPoint, PointTimes>> = {};
    for (const point of BOOT_POINTS) {
      const at = this.#at.get(point);
      if (at === undefined) continue;
      times[point] = {
        sinceStart: round(at - this.#startedAt),
        sinceSpawn: spawn === undefined ? null : round(at - spawn),
      };
    }
    return times;
  }
}

/** To microseconds: more digits are noise. */
function round(ms: number): number {
  return Math.round(ms * 1000) / 1000;
}
