import type { Facts } from './classifier.js';

/** Draws on `canvas` the part of the picture that evaluation uses: shorter side resized, centre cut out. */
export function drawSeen(picture: ImageBitmap, canvas: HTMLCanvasElement, facts: Facts): ImageData {
  const { imageSize: size, resizeShorter } = facts;
  const scale = resizeShorter / Math.min(picture.width, picture.height);
  const [width, height] = [picture.width, picture.height].map((side) => Math.round(side * scale));
  canvas.width = size;
  canvas.height = size;
  const context = canvas.getContext('2d', { willReadFrequently: true });
  if (context === null) throw new Error('This browser cannot draw.');
  context.imageSmoothingQuality = 'high';
  const [left, top] = [width, height].map((side) => Math.round((side - size) / 2));
  context.drawImage(picture, -left, -top, width, height);
  return context.getImageData(0, 0, size, size);
}

/** RGBA bytes -> [channels, S, S] as the model takes them. */
export function pixelsOf({ data, width, height }: ImageData, { pixels, mean, std }: Facts): Float32Array {
  const plane = width * height;
  const result = new Float32Array(mean.length * plane);
  for (let i = 0; i < plane; i++) {
    const rgb = [data[4 * i], data[4 * i + 1], data[4 * i + 2]];
    const grey = Math.round(0.299 * rgb[0] + 0.587 * rgb[1] + 0.114 * rgb[2]);
    for (let channel = 0; channel < mean.length; channel++) {
      const value = (mean.length === 1 ? grey : rgb[channel]) / 255;
      result[channel * plane + i] = pixels === '0..1' ? value : (value - mean[channel]) / std[channel];
    }
  }
  return result;
}

export function softmax(logits: Float32Array): number[] {
  const most = Math.max(...logits);
  const powers = Array.from(logits, (logit) => Math.exp(logit - most));
  const sum = powers.reduce((a, b) => a + b, 0);
  return powers.map((power) => power / sum);
}
