/** One thing that `volley doctor` looked at. */
export interface Check {
  name: string;
  /** good: there and usable; limited: Volley works without it, slower or with less; missing: a feature will not work. */
  state: 'good' | 'limited' | 'missing';
  /** What was found, in words. */
  detail: string;
  /** What gets it, such as a command; null when there is nothing to get. */
  help: string | null;
}

export function good(name: string, detail: string): Check {
  return { name, state: 'good', detail, help: null };
}

export function limited(name: string, detail: string, help: string | null): Check {
  return { name, state: 'limited', detail, help };
}

export function missing(name: string, detail: string, help: string | null): Check {
  return { name, state: 'missing', detail, help };
}
