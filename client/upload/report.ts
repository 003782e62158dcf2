/** What an upload did. */
export interface UploadReport {
  name: string;
  /** The image's id: 32 hex digits. */
  id: string;
  bytes: number;
  chunkBytes: number;
  chunks: number;
  /** Chunks of zeros: neither stored nor sent. */
  zeroChunks: number;
  /** Chunks whose content came earlier in the same image: stored once. */
  duplicateChunks: number;
  /** Chunks that the nodes held already. */
  presentChunks: number;
  sentChunks: number;
  sentBytes: number;
  /** Whether an image of that name existed before. */
  replaced: boolean;
  seconds: number;
  gbPerSecond: number;
  stages: {
    /** Connecting to the nodes' text ports. */
    connectMs: number;
    /** Reading, hashing, probing and sending the chunks. */
    storeMs: number;
    /** Writing the manifest, and making sure before and after that the nodes still hold every chunk. */
    manifestMs: number;
  };
  nodes: { name: string; sentChunks: number; sentBytes: number; presentChunks: number }[];
}

/** How far an upload is. */
export interface UploadProgress {
  /** Bytes of the image that have been read and hashed. */
  bytes: number;
  /** Size of the image, or null while it is not known. */
  totalBytes: number | null;
}
