import { useEffect, useRef } from 'preact/hooks';
import uPlot from 'uplot';
import { inTheLight } from './look';
import { type PlotOptions, plotOptions, tableOf } from './plot';

/** Width in CSS pixels. A page has two charts side by side, slightly reduced. */
const WIDTH = 430;
/** Canvas pixels per CSS pixel: paper has a higher resolution than most screens. */
const SCALE = 2;

/**
 * Draws a second copy of a chart while the page is printed: with current data even if the chart is off the screen, in paper size,
 * and in light colours.
 */
export function usePaper(
  frame: { readonly current: HTMLElement | null },
  looks: Omit<PlotOptions, 'size' | 'scale' | 'onZoom' | 'onCursor'>,
  isLarge: boolean,
): void {
  const latest = useRef({ looks, isLarge });
  latest.current = { looks, isLarge };
  useEffect(() => {
    let drawn: uPlot | undefined;
    const drop = () => {
      drawn?.destroy();
      drawn = undefined;
    };
    const draw = () => {
      drop();
      const { looks, isLarge } = latest.current;
      if (frame.current === null || looks.curves.length === 0) return;
      const size = { width: WIDTH, height: isLarge ? 270 : 180 };
      const none = () => undefined;
      const options = inTheLight(() =>
        plotOptions({ ...looks, size, scale: SCALE, onZoom: none, onCursor: none }),
      );
      drawn = new uPlot(
        { ...options, class: 'paper', cursor: { show: false } },
        tableOf(looks.curves, looks.logarithmic),
        frame.current,
      );
    };
    addEventListener('beforeprint', draw);
    addEventListener('afterprint', drop);
    return () => {
      removeEventListener('beforeprint', draw);
      removeEventListener('afterprint', drop);
      drop();
    };
  }, []);
}
