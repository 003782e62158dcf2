import { homedir } from 'node:os';

/** The user's home folder; null for a user without HOME and without an entry in passwd, as containers have them. */
export function homeFolder(): string | null {
  try {
    return homedir() || null;
  } catch {
    return null;
  }
}
