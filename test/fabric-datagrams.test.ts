// The fabric's tests once more over reliable datagrams: the path for fabrics that have no connected endpoints.
process.env.VOLLEY_TEST_FABRIC = 'tcp;ofi_rxm';
await import('./fabric-load.test.js');
