// Which files of memcached's suite have nothing to say about a Volley node, and why. All others must pass.

const EXTSTORE = 'extstore: a node keeps its items in memory alone';
const SLABS = "pages move between memcached's slab classes; a node gives pages back to a pool by itself";

/** By file; also printed into docs/compatibility.md. */
export const NOT_APPLICABLE = {
  'binary-extstore.t': EXTSTORE,
};
