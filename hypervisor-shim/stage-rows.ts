import { formatMs } from '../src/units.js';
import type { BootReport } from './boot.js';
import type { BootPoint } from './stage-clock.js';

/** One line of the table of stages, in words; '' where there is nothing to tell. */
export interface StageRow {
  stage: string;
  took: string;
  sinceSpawn: string;
  sinceStart: string;
}

const POINTS: [BootPoint, string][] = [
  ['loaded', 'images in guest memory'],
  ['firmware', 'firmware done'],
  ['doorbell', 'doorbell'],
  ['kernel', 'first kernel line'],
  ['userspace', 'userspace'],
  ['until', 'awaited text'],
  ['end', 'end'],
];

/** The stages of a boot for a person to read: how long each took, or when it was reached. */
export function stageRows({ stages, points }: Pick<BootReport, 'stages' | 'points'>): StageRow[] {
  const durations = Object.entries(stages).map(([name, ms]) => {
    return { stage: name.replace(/Ms$/, ''), took: formatMs(ms), sinceSpawn: '', sinceStart: '' };
  });
  const moments = POINTS.flatMap(([point, stage]) => {
    const times = points[point];
    if (!times) return [];
    const sinceSpawn = times.sinceSpawn === null ? '' : formatMs(times.sinceSpawn);
    return [{ stage, took: '', sinceSpawn, sinceStart: formatMs(times.sinceStart) }];
  });
  return [...durations, ...moments];
}
