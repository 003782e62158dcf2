/** What Linux would refuse of an initrd, seen before it is booted. */

export { InitrdStream } from './initrd-stream.js';
export { type InitrdHints, type InitrdInspection, inspectInitrdFile, NO_INITRD } from './inspect.js';
