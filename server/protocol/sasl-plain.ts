/** A SASL PLAIN message (RFC 4616): `[authorization identity] NUL user NUL password`. */
export interface PlainMessage {
  user: Uint8Array;
  password: Uint8Array;
}

/** Reads a PLAIN message; null when it is none, or when it asks to act for somebody other than its user. */
export function parsePlain(message: Uint8Array): PlainMessage | null {
  const first = message.indexOf(0);
  const second = first < 0 ? -1 : message.indexOf(0, first + 1);
  if (second < 0 || message.indexOf(0, second + 1) >= 0) return null;
  const identity = message.subarray(0, first);
  const user = message.subarray(first + 1, second);
  const password = message.subarray(second + 1);
  if (user.length === 0 || password.length === 0) return null;
  if (identity.length > 0 && Buffer.compare(identity, user) !== 0) return null;
  return { user, password };
}
