/** The address that Volley nodes of the tests listen on; the verbs VM gives one that its RDMA device has. */
export const HOST = process.env.VOLLEY_TEST_HOST ?? '127.0.0.1';
