/**
 * Every error that Volley raises on purpose. `code` is stable and may be matched by programs; `message` is one line
 * that says what went wrong, where, and what to do next.
 */
export type VolleyErrorCode =
  | 'ERR_VOLLEY_USAGE' // a value on the command line or in an option is not acceptable
  | 'ERR_VOLLEY_NAME' // an image name breaks the naming rule
  | 'ERR_VOLLEY_NOT_FOUND' // no image of that name
  | 'ERR_VOLLEY_CONFLICT' // somebody else changed it meanwhile
  | 'ERR_VOLLEY_NODE_DOWN' // a node could not be reached, or closed the connection
  | 'ERR_VOLLEY_NODE_BUSY' // a node takes no more connections
  | 'ERR_VOLLEY_TIMEOUT' // a deadline passed
  | 'ERR_VOLLEY_AUTH' // a node wants a user and password, does not take those it was given, or the user may only read
  | 'ERR_VOLLEY_TLS' // a node and this client do not agree about TLS, or a certificate is not good
  | 'ERR_VOLLEY_NODE_FULL' // a node refused a chunk for lack of memory
  | 'ERR_VOLLEY_TRANSPORT' // the transport that was asked for is not possible with a node
  | 'ERR_VOLLEY_TOO_LARGE' // a node does not take items of this size
  | 'ERR_VOLLEY_PROTOCOL' // a peer answered something that the protocol does not allow
  | 'ERR_VOLLEY_LAYOUT' // a region or table header is garbage or of an unknown version
  | 'ERR_VOLLEY_MANIFEST' // a manifest is truncated, inconsistent or of an unknown version
  | 'ERR_VOLLEY_NODE_LIST' // the node list is not the one that images were stored with, or names a node twice
  | 'ERR_VOLLEY_CHUNK' // a chunk is missing or is not what the manifest says
  | 'ERR_VOLLEY_KERNEL' // not a kernel that can be booted
  | 'ERR_VOLLEY_MEMORY' // guest memory or locked memory does not suffice
  | 'ERR_VOLLEY_QEMU' // QEMU is missing, ended early or refused
  | 'ERR_VOLLEY_GUEST' // the guest did not do what was waited for
  | 'ERR_VOLLEY_ABORTED' // the caller's AbortSignal fired
  | 'ERR_VOLLEY_FILE' // a local file could not be read or written
  | 'ERR_VOLLEY_FABRIC' // a fabric is not there, refused, or broke
  | 'ERR_VOLLEY_ADDRESS' // an address or port to listen on cannot be had
  | 'ERR_VOLLEY_SETUP'; // something that Volley needs is not installed or not built

export class VolleyError extends Error {
  readonly code: VolleyErrorCode;

  constructor(code: VolleyErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = 'VolleyError';
    this.code = code;
  }
}

/** Also true of the native addon's errors, which carry the same codes. */
export function isVolleyError(error: unknown): error is VolleyError {
  return error instanceof Error && String((error as VolleyError).code).startsWith('ERR_VOLLEY_');
}
