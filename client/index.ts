/** The client library of Volley: connect to storage nodes, upload images, load them into memory. */

export type { Credentials } from '../src/credentials.js';
export { isVolleyError, VolleyError, type VolleyErrorCode } from '../src/errors.js';
export type { ImageKind, Manifest } from '../src/manifest.js';
export { type GuestMemory, native } from '../src/native.js';
export type { RecordedNode } from '../src/recorded-nodes.js';
export type { TlsOptions } from '../src/tls-settings.js';
export type { ImageInfo } from './catalog.js';
export type { WantedTransport } from './choose-transport.js';
export { Cluster, type ConnectOptions, type ConnectStages, type RemoveOptions } from './cluster.js';
export type { ClusterNode, NodeTransport } from './cluster-node.js';
export { type DeadNode, inspectNodes, type LiveNode } from './inspect.js';
export type { LoadOptions } from './load/load-run.js';
export type { LoadProgress, LoadReport, NodeLoadReport } from './load/report.js';
export { ORPHAN_AGE_DEFAULT_S, type OrphansReport } from './orphans.js';
export type { RemoveReport } from './remove.js';
export type { UploadProgress, UploadReport } from './upload/report.js';
export type { UploadSource } from './upload/source.js';
export type { UploadOptions } from './upload/upload.js';
export type { VolleyStats } from './volley-stats.js';
