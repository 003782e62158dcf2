// What memcached's suite asks that a Volley node does not answer like memcached, and why. All else must pass.
// The files are those of 1.6.18 (Debian 12) and of 1.6.38 (Debian 13).

const EXTSTORE = 'extstore: a node keeps its items in memory alone';
const SLABS = "moving pages between memcached's slab classes: a node's pages go back to a pool by themselves";
const LRU = "memcached's LRU lists and crawler: a node looks for dead items without them";
const TLS = "runs only when the whole suite is run over TLS, with memcached's -Z; test/tls.test.ts tests TLS";
const SKIPPED = 'memcached skips it, too';
const UDP = 'UDP is not spoken';
const PROXY = "memcached's proxy";
const WATCH = 'there is no log to watch; watch is refused';

/** Files that have nothing to say about a node. */
export const NOT_APPLICABLE = {
  '64bit.t': 'the sizes of one slab class beyond 4 GiB, by a hook in memcached',
  'binary-extstore.t': EXTSTORE,
  'binary-sasl.t':
    "needs Cyrus SASL's user data base; test/auth-protocol.test.ts compares with memcached's answers",
  'chunked-extstore.t': EXTSTORE,
  'conn-limits.t':
    "limits of memcached's threads' read buffers: a node's buffers are bounded for each connection",
  'daemonize.t': 'a node stays in the foreground',
  'dyn-maxbytes.t': "cache_memlimit: a node's region cannot be resized",
  'error-extstore.t': EXTSTORE,
  'extstore-buckets.t': EXTSTORE,
  'extstore-cas.t': EXTSTORE,
  'extstore-jbod.t': EXTSTORE,
  'extstore-overdel.t': EXTSTORE,
  'extstore-tiered.t': EXTSTORE,
  'extstore-tiered2.t': EXTSTORE,
  'extstore.t': EXTSTORE,
  'issue_140.t': SKIPPED,
  'issue_260.t': SKIPPED,
  'issue_50.t': '-B binary: the protocol is told by the first byte of each connection',
  'issue_67.t': 'the numbers of UDP and TCP ports that memcached opens by default',
  'item_size_max.t': 'values of more than 1 MiB (-I 2097152, -I 32m)',
  'lru-crawler.t': LRU,
  'lru-maintainer.t': LRU,
  'lru.t': 'strict LRU order, and how many items of 1 MiB fit 64 MB of slab pages: a node evicts by a clock',
  'misbehave.t': 'a command of memcached built to drop privileges',
  'proxy.t': PROXY,
  'proxyantiflap.t': PROXY,
  'proxybestats.t': PROXY,
  'proxyconfig.t': PROXY,
  'proxyconfigmulti.t': PROXY,
  'proxycron.t': PROXY,
  'proxydepthlim.t': PROXY,
  'proxyfuncgen.t': PROXY,
  'proxyins.t': PROXY,
  'proxyinternal.t': PROXY,
  'proxyinternal2.t': PROXY,
  'proxyintext.t': PROXY,
  'proxyintstats.t': PROXY,
  'proxylimits.t': PROXY,
  'proxymatch.t': PROXY,
  'proxymut.t': PROXY,
  'proxyratelim.t': PROXY,
  'proxyrctxtimeout.t': PROXY,
  'proxyrequest.t': PROXY,
  'proxyroutelib.t': PROXY,
  'proxyrouter.t': PROXY,
  'proxyslotcache.t': PROXY,
  'proxytags.t': PROXY,
  'proxyunits.t': PROXY,
  'proxyustats.t': PROXY,
  'refhang.t': SKIPPED,
  'restart.t': "looks into memcached's own file beside that of -e; test/region-file.test.ts",
  'shutdown.t': 'the command shutdown (-A): clients cannot end a node',
  'slabhang.t': SKIPPED,
  'slabs-cas.t': SLABS,
  'slabs-mover.t': SLABS,
  'slabs-reassign-chunked.t': SLABS,
  'slabs-reassign2.t': SLABS,
  'slabs_reassign.t': SLABS,
  'ssl_cert_refresh.t': TLS,
  'ssl_ports.t': TLS,
  'ssl_proto_version.t': TLS,
  'ssl_session_resumption.t': TLS,
  'ssl_settings.t': TLS,
  'ssl_verify_modes.t': TLS,
  'udp.t': UDP,
  'watcher.t': WATCH,
  'watcher_connid.t': WATCH,
  'whitespace.t': SKIPPED,
};

/** Files that run with the suite of older versions alone: from a version on they ask for more. */
export const ONLY_BEFORE = {
  'metaget.t': {
    version: '1.6.38',
    why: "asks for flag E, a cas unique of the client's choice, and for s of ms",
  },
};

/** Files that run. */
export const APPLICABLE = `
  00-startup ascii-auth ascii-auth2 binary-get binary bogus-commands cas chunked-items dash-M evictions
  expirations flags flush-all getandtouch getset idle-timeout incrdecr issue_104 issue_108 issue_14
  issue_152 issue_163 issue_183 issue_192 issue_22 issue_29 issue_3 issue_41 issue_42 issue_61 issue_68
  issue_70 line-lengths malicious-commands maxconns metaget multiversioning noreply quit stats-conns
  stats-detail stats strtol-testing touch unixsocket
`
  .trim()
  .split(/\s+/)
  .map((name) => `${name}.t`);

/** Tests, by number, of files that pass else; they must fail, or the line is to go. */
export const EXCEPT = {
  '00-startup.t': {
    5: '-C: a node always has cas uniques',
    11: '-B ascii: the protocol is told by the first byte of each connection',
  },
  'flush-all.t': { 27: '-C: memcached without cas uniques flushes what is stored in the same second, too' },
  'issue_163.t': { 4: 'items reclaimed per slab class' },
  'issue_22.t': {
    43: "the number of memcached's slab class of the items",
    84: "the number of memcached's slab class of the items",
  },
  'issue_61.t': { 7: 'connections take turns by bytes, not by requests (-R)' },
  'stats-conns.t': { 10: UDP },
  'stats.t': {
    1: "the number of memcached's figures, those of its LRU and slab classes among them",
    20: 'lrutail_reflocked',
    103: 'lrutail_reflocked',
    111: 'flushed items are taken away before somebody asks for them',
  },
};
