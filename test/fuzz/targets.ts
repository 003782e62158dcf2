/** What can be fuzzed: JavaScript by @jazzer.js/core, native code by libFuzzer itself. */
export interface Target {
  name: string;
  /** Parts of the names of the compiled files whose coverage guides, or the native sources beside the target's own. */
  subjects: readonly string[];
  isNative: boolean;
  /** System calls that the target stands in for. */
  wrapped?: readonly string[];
}

const PROTOCOL = ['dist/server/protocol'];
const CALLS = ['socket', 'connect', 'setsockopt', 'getsockopt', 'poll', 'send', 'readv'];

export const TARGETS: readonly Target[] = [
  { name: 'text', subjects: PROTOCOL, isNative: false },
  { name: 'meta', subjects: PROTOCOL, isNative: false },
  { name: 'login', subjects: PROTOCOL, isNative: false },
  { name: 'binary', subjects: PROTOCOL, isNative: false },
  { name: 'manifest', subjects: ['dist/src/manifest.js'], isNative: false },
  { name: 'region', subjects: ['native/region_header.cc', 'native/hashtable.cc'], isNative: true },
  { name: 'table', subjects: ['native/hashtable.cc'], isNative: true },
  { name: 'answers', subjects: ['native/transport/tcp.cc'], isNative: true, wrapped: CALLS },
];
