export { StorageNode } from './node.js';
export { defaultLocalPath, ITEM_SIZE_MAX, LOG_LEVELS, type NodeOptions, resolveOptions } from './options.js';
