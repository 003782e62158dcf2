export { StorageNode } from './node.js';
export { defaultLocalPath, ITEM_SIZE_MAX, type NodeOptions } from './options.js';
