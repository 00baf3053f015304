export interface Anchor {
  /** Pixels. */
  readonly x: number;
  readonly y: number;
  readonly text: string;
}

export interface Placement {
  readonly dx: number;
  readonly dy: number;
  readonly textAnchor: 'start' | 'middle' | 'end';
}

interface Box {
  readonly left: number;
  readonly right: number;
  readonly top: number;
  readonly bottom: number;
}

/** Average advance of a 12 px system font; generous, as the fonts of hosts differ. */
const ADVANCE = 6.9;
const HALF_LINE = 8;

/** Where a label may stand, the most wanted first. */
const PLACEMENTS: readonly Placement[] = [
  { dx: 10, dy: 0, textAnchor: 'start' },
  { dx: -10, dy: 0, textAnchor: 'end' },
  { dx: 8, dy: -13, textAnchor: 'start' },
  { dx: 8, dy: 13, textAnchor: 'start' },
  { dx: -8, dy: -13, textAnchor: 'end' },
  { dx: -8, dy: 13, textAnchor: 'end' },
  { dx: 0, dy: -16, textAnchor: 'middle' },
  { dx: 0, dy: 17, textAnchor: 'middle' },
  { dx: 10, dy: -26, textAnchor: 'start' },
  { dx: 10, dy: 26, textAnchor: 'start' },
  { dx: -10, dy: -26, textAnchor: 'end' },
  { dx: -10, dy: 26, textAnchor: 'end' },
];

function boxOf(anchor: Anchor, { dx, dy, textAnchor }: Placement): Box {
  const width = anchor.text.length * ADVANCE;
  const start = anchor.x + dx - (textAnchor === 'start' ? 0 : textAnchor === 'end' ? width : width / 2);
  return {
    left: start,
    right: start + width,
    top: anchor.y + dy - HALF_LINE,
    bottom: anchor.y + dy + HALF_LINE,
  };
}

function around({ x, y }: { readonly x: number; readonly y: number }, radius: number): Box {
  return { left: x - radius, right: x + radius, top: y - radius, bottom: y + radius };
}

function overlap(a: Box, b: Box): number {
  const width = Math.min(a.right, b.right) - Math.max(a.left, b.left);
  const height = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
  return width > 0 && height > 0 ? width * height : 0;
}

function outside(box: Box, frame: Box): number {
  const across = Math.max(0, frame.left - box.left) + Math.max(0, box.right - frame.right);
  const along = Math.max(0, frame.top - box.top) + Math.max(0, box.bottom - frame.bottom);
  return across + along;
}

/** True when a label so placed stays within `frame`. */
export function fitsInside(anchor: Anchor, placement: Placement, frame: Box): boolean {
  return outside(boxOf(anchor, placement), frame) === 0;
}

/** Places one label beside each anchor, inside `frame`, clear of the anchors, of `obstacles` and of one another where possible. */
export function placeLabels(
  anchors: readonly Anchor[],
  obstacles: readonly { readonly x: number; readonly y: number }[],
  frame: Box,
): Placement[] {
  const dots = anchors.map((anchor) => around(anchor, 7));
  const line = obstacles.map((point) => around(point, 2.5));
  const taken: Box[] = [];
  return anchors.map((anchor) => {
    let best = PLACEMENTS[0]!;
    let least = Number.POSITIVE_INFINITY;
    for (const [rank, placement] of PLACEMENTS.entries()) {
      const box = boxOf(anchor, placement);
      let cost = rank * 4 + outside(box, frame) * 200;
      for (const other of taken) cost += overlap(box, other) * 20;
      for (const dot of dots) cost += overlap(box, dot) * 4;
      for (const point of line) cost += overlap(box, point);
      if (cost < least) {
        least = cost;
        best = placement;
      }
    }
    taken.push(boxOf(anchor, best));
    return best;
  });
}
