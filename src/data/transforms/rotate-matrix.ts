import type { Matrix } from './pixels.js';

/**
 * The matrix of Pillow's `Image.rotate(degrees)`: about the centre, counter-clockwise, with the image's size unchanged.
 * Multiples of 90 degrees, which Pillow handles separately, become exact moves of whole pixels.
 */
export function rotateMatrix(degrees: number, width: number, height: number): Matrix {
  const rest = degrees % 360;
  const angle = -((rest < 0 ? rest + 360 : rest) * (Math.PI / 180));
  const [cos, sin] = [Math.cos(angle), Math.sin(angle)].map((x) => Number(x.toFixed(15)));
  const [x, y] = [width / 2, height / 2];
  return [cos, sin, cos * -x + sin * -y + x, -sin, cos, -sin * -x + cos * -y + y];
}
