// What the test runner (run-tests.mjs) knows of single files. All else runs in each run, two files at a time.

/** Files that run for releases alone (`npm run test:full`), with what `npm test` has of the same. */
export const ONLY_FULL = {
  'boot-kaslr': 'many boots of one kernel; kernel-relocations moves one, boot-guest boots it',
  'load-races': 'loads amid uploads and removals; table-growth and upload-races have either',
  'boot-demo': 'the demo in small; boot-guest boots a guest',
  'boot-nodes': 'a guest out of several nodes; boot-guest boots one out of one, load-* load from several',
  'fabric-failures':
    'nodes that stop, die and come back; fabric-failures-leaks has a thousand failures over a fabric',
  'fabric-failures-unplugged': 'a pulled cable; native-reader-faults has endpoints that break',
  'fabric-options':
    'what commands make of --fabric; fabric-choice has the choice and its words, fabric-load reads',
  'fabric-overload': '200 clients over a fabric; storm has a thousand connections',
  'fabric-releases': 'two releases of libfabric; fabric-choice knows their names',
  'verbs-vm': 'the VM itself; verbs-fabric runs in it',
  'boot-initrd-kinds': 'a guest per kind of initrd; initrd-inspect knows the same kinds',
  'fabric-datagrams': 'fabric-load over another provider; verbs-fabric-long has it over verbs',
  'fabric-table-changes':
    'tables that change under loads over a fabric; load-* and table-growth read changing tables locally',
  fuzz: 'fuzzing for a time; fuzz-seeds tries what it found so far',
  'server-busy-wait': 'how long a node spins before it sleeps; node-settings has the option',
  'memcached-suite': "memcached's own tests; protocol-* and server-as-memcached ask the same",
  'packaging-package': 'the package in a system of its own; packaging-texts checks what it is made of',
  'packaging-service': 'systemd in a VM; packaging-texts checks the unit',
  'upload-room-settles':
    'memcached moves memory between size classes after half a minute; upload-room tests the rest',
  upgrade:
    'nodes and clients of the last release, built from its sources; manifest-release reads what it stored',
  'verbs-fabric-long':
    'failures, overload and figures over verbs; verbs-fabric loads over verbs, fabric-failures-leaks fails over net',
};

/** Variables of tests that repeat something at random: how long or how often in a full run. */
export const FULL_DURATIONS = {
  VOLLEY_FILES: '400',
  VOLLEY_FUZZ_SECONDS: '60',
  VOLLEY_HAMMER_SECONDS: '60',
  VOLLEY_KILLS: '100',
  VOLLEY_OVERLOAD_SECONDS: '60',
  VOLLEY_SEEDS: '20000',
  VOLLEY_STORM_SECONDS: '60',
};

/** Files that say the same whatever the version of Node is, and take long: not run on a second one. */
export const NOT_OF_NODE = Object.fromEntries(
  [
    {
      why: 'guests, the kernel and QEMU',
      files: ['boot-command', 'boot-failures', 'boot-guest', 'boot-kaslr', 'verbs-fabric'],
    },
    {
      why: 'native code and libfabric',
      files: [
        'fabric-admission',
        'fabric-failures-leaks',
        'fabric-failures-lies',
        'fabric-load',
        'fabric-refused',
        'local-backlog',
        'native-local-region',
        'native-reader-faults',
        'server-threads-consistency',
        'table-growth',
      ],
    },
    {
      why: 'bytes of regions, images and initrds, and texts',
      files: [
        'initrd-inspect',
        'initrd-upload',
        'packaging-texts',
        'public-types',
        'region-damage',
        'region-file',
        'region-formats',
        'region-full-tmpfs',
        'region-killed',
        'region-spoilt',
      ],
    },
    {
      why: 'what follows from answers, whatever the sockets are',
      files: [
        'auth-client',
        'auth-protocol',
        'cli-commands',
        'cli-load-file',
        'cli-load-out',
        'cli-paths',
        'cli-usage',
        'client-addresses',
        'client-images',
        'clock-steps',
        'images-evicted',
        'load-races',
        'load-trouble',
        'node-lists',
        'server-flow',
        'server-memory',
        'upload-content',
        'upload-memory',
        'upload-probes',
        'upload-races',
        'upload-room',
        'upload-trouble',
      ],
    },
  ].flatMap(({ why, files }) => files.map((name) => [name, why])),
);

/** Files that measure time, or a machine that nobody else uses. */
export const ALONE = {
  'boot-failures': 'guests must come to a line in a second',
  'fabric-failures': 'reads that are in flight at one moment',
  'fabric-overload': '200 clients at once',
  'native-local-region': 'peers that are given up in time',
  'native-reader-beside': 'the time of turns of the event loop',
  'region-hugetlbfs': 'huge pages of the system',
  'qemu-kvm-probe': 'deadlines of the probe',
  'server-busy-wait': 'the time of answers',
  'server-threads-consistency': 'enough hits in its seconds',
  'verbs-fabric': 'a VM with two CPUs and deadlines inside',
  'verbs-fabric-long': 'figures',
  'verbs-vm': 'a VM with two CPUs',
  fuzz: 'both processors are at work as it is',
  storm: 'the time of answers',
};

/** How many tests of a file may be skipped in CI, and why. uvu does not name them. */
export const MAY_SKIP = {
  'fabric-datagrams': { tests: 4, why: 'of connections and the command line: fabric-load runs them' },
  'fabric-device': { tests: 1, why: 'only verbs registers memory: verbs-fabric runs it in a VM' },
};
