/** What Volley uses of consistent-hash 1.2.2, which publishes no types. */
declare module 'consistent-hash' {
  class ConsistentHash<Node> {
    constructor(options?: { range?: number });
    /** `points` are the node's places on the ring; `count` is then not looked at. */
    add(node: Node, count: number, points: number[]): this;
    /** The node whose point follows the key's place, or null when there is no node. */
    get(key: string): Node | null;
    /** The first `count` distinct nodes that follow the key's place. */
    get(key: string, count: number): Node[] | null;
  }
  export = ConsistentHash;
}
