/** A line of a chart: x and y, x above 0. */
export interface Series {
  name: string;
  points: readonly (readonly [x: number, y: number])[];
}

export interface Chart {
  title: string;
  x: string;
  y: string;
  series: readonly Series[];
}

const WIDTH = 720;
const HEIGHT = 420;
const LEFT = 60;
const TOP = 40;
const RIGHT = 180;
const BOTTOM = 50;
const GRID_LINES = 5;
const COLOURS = ['#1b6ca8', '#d1495b', '#2e933c', '#8d6a9f', '#c17817', '#444444'];

const escapeText = (text: string) => text.replace(/&/g, '&amp;').replace(/</g, '&lt;');

/** Draws lines over a logarithmic x axis (every x that occurs is a tick) and a y axis from 0. */
export function svgChart({ title, x, y, series }: Chart): string {
  const all = series.flatMap(({ points }) => points);
  const ticks = [...new Set(all.map(([at]) => at))].sort((a, b) => a - b);
  const top = Math.max(...all.map(([, value]) => value)) * 1.1;
  const [first, last] = [Math.log2(ticks[0]!), Math.log2(ticks.at(-1)!)];
  const toX = (at: number) => LEFT + ((Math.log2(at) - first) / (last - first || 1)) * (WIDTH - LEFT - RIGHT);
  const toY = (value: number) => HEIGHT - BOTTOM - (value / top) * (HEIGHT - TOP - BOTTOM);
  const parts = [text(LEFT, 24, title, 'start', 16)];
  for (let line = 0; line <= GRID_LINES; line++) {
    const value = (top * line) / GRID_LINES;
    parts.push(`<path d="M${LEFT} ${toY(value)}H${WIDTH - RIGHT}" stroke="#ddd"/>`);
    parts.push(text(LEFT - 6, toY(value) + 4, value.toFixed(1), 'end'));
  }
  for (const tick of ticks) parts.push(text(toX(tick), HEIGHT - BOTTOM + 18, String(tick), 'middle'));
  parts.push(text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 12, x, 'middle'), text(8, TOP - 10, y, 'start'));
  series.forEach(({ name, points }, i) => {
    const colour = COLOURS[i % COLOURS.length]!;
    const path = points.map(([at, value]) => `${toX(at).toFixed(1)} ${toY(value).toFixed(1)}`).join('L');
    parts.push(`<path d="M${path}" fill="none" stroke="${colour}" stroke-width="2"/>`);
    parts.push(`<g fill="${colour}">${text(WIDTH - RIGHT + 12, TOP + 20 + i * 20, name, 'start')}</g>`);
  });
  const open = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" font-family="sans-serif">`;
  return `${open}<rect width="100%" height="100%" fill="white"/>${parts.join('')}</svg>\n`;
}

function text(x: number, y: number, content: string, anchor: 'start' | 'middle' | 'end', size = 12): string {
  const place = `x="${x.toFixed(1)}" y="${y.toFixed(1)}" text-anchor="${anchor}" font-size="${size}"`;
  return `<text ${place}>${escapeText(content)}</text>`;
}
