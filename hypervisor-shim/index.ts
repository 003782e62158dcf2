/** The boot hook as a library. */
export { type AcceleratorChoice, chooseAccelerator } from './accelerator.js';
export { type BootedKernel, type BootOptions, type BootReport, boot } from './boot.js';
export { bootDirect, type DirectBootOptions, type DirectBootReport } from './direct-boot.js';
export type { KaslrChoice } from './kaslr.js';
export { type PreparedKernel, prepareKernel } from './kernel.js';
export { type BootableKernel, parseKernelHeader, parseRawKernel } from './kernel-image.js';
export { type KvmProbe, probeKvm } from './kvm.js';
export type { LoadTotals } from './load-totals.js';
export { DEFAULT_CMDLINE, DEFAULT_MEMORY_BYTES, type Machine } from './machine.js';
export { DEFAULT_QEMU } from './qemu.js';
export { BOOT_POINTS, type BootPoint, type PointTimes } from './stage-clock.js';
export { type StageRow, stageRows } from './stage-rows.js';
