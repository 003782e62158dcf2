/** What a user may do: everything, or only what leaves items and counters as they are. */
export type Rights = 'all' | 'read';
