import type { RunPlan } from '../../plan/plan.js';
import {
  type DeviceSchedule,
  type DevicesPlan,
  type Network,
  planDevices,
  type StepSeconds,
  type StepTimes,
} from '../../plan/plan-devices.js';
import type { Phase } from '../../recipe/phase.js';
import { duration, significant, withPrefix } from '../../report/format.js';
import { columns, print, printJson, rule } from '../terminal/output.js';

interface Asked {
  readonly devices: readonly number[];
  /** Step times by phase; null for relative times. */
  readonly stepSeconds: StepSeconds | null;
  readonly stepsFrom: string | null;
  readonly network: Network;
  readonly json?: true;
}

/** `plan --devices`: prints when and where each phase would run, and the total time. */
export function printSchedules(phases: readonly Phase[], run: RunPlan, asked: Asked): void {
  const plans = asked.devices.map((devices) => planDevices(phases, run, { ...asked, devices }));
  if (asked.json) printJson(json(run, plans, asked));
  else print(...text(phases, run, plans, asked));
}

function json(run: RunPlan, plans: readonly DevicesPlan[], { stepSeconds, network }: Asked) {
  return {
    name: run.name,
    train_images: run.train_images,
    unit: stepSeconds === null ? 'macs' : 'seconds',
    step_seconds: stepSeconds === null ? null : inSeconds(stepSeconds, 'step'),
    update_seconds: stepSeconds === null ? null : inSeconds(stepSeconds, 'update'),
    start_seconds: stepSeconds === null ? null : inSeconds(stepSeconds, 'start'),
    network: stepSeconds === null ? null : network,
    schedules: plans.map(({ devices, incubation, end_to_end }) => ({
      devices,
      incubation: incubation && record(incubation),
      end_to_end: end_to_end && record(end_to_end),
      speed_up: incubation && end_to_end && end_to_end.wall / incubation.wall,
    })),
  };
}

function inSeconds(of: StepSeconds, part: keyof StepTimes): Record<string, number> {
  return Object.fromEntries([...of].map(([phase, times]) => [phase, times[part]]));
}

function record({ wall, critical, utilisation, deviceTime, placed }: DeviceSchedule) {
  return {
    wall,
    critical_path: { phases: critical.names, time: critical.time },
    utilisation,
    device_time: deviceTime,
    phases: placed.map(({ name, from, devices, start, end }) => ({
      phase: name,
      first_device: from,
      devices,
      start,
      end,
    })),
  };
}

function text(phases: readonly Phase[], run: RunPlan, plans: readonly DevicesPlan[], asked: Asked): string[] {
  const isTimed = asked.stepSeconds !== null;
  const time = isTimed ? duration : (macs: number) => `${withPrefix(macs)}MAC`;
  const held = (of: DeviceSchedule) => (isTimed ? significant(of.deviceTime / 3600) : time(of.deviceTime));
  const cells = (of: DeviceSchedule | null) =>
    of === null ? ['', '', ''] : [time(of.wall), percent(of.utilisation), held(of)];
  const table = columns([
    [
      ...['devices', 'time', 'in use', isTimed ? 'device-hours' : 'device-MACs', 'critical path'],
      ...['E2E: time', 'in use', isTimed ? 'device-hours' : 'device-MACs', 'E2E / this: time'],
    ],
    ...plans.map(({ devices, incubation: own, end_to_end: whole }) => [
      String(devices),
      ...cells(own),
      own === null ? '' : `${own.critical.names.join(' ')}: ${time(own.critical.time)}`,
      ...cells(whole),
      own === null || whole === null ? '' : (whole.wall / own.wall).toFixed(2),
    ]),
  ]);
  const [{ incubation, end_to_end: baseline }] = plans;
  return [
    `${run.name}: ${run.train_images.toLocaleString('en-US')} training images, simulated on identical devices`,
    '',
    table[0],
    rule(table),
    ...table.slice(1),
    '',
    ...(plans.length === 1 && incubation !== null ? [...gantt(incubation, time), ''] : []),
    ...notes(asked),
    ...limit(phases, Math.max(...asked.devices)),
    ...(baseline === null ? ['No comparison: the recipe has no end-to-end baseline (phases.E2E).'] : []),
  ];
}

const WIDTH = 60;

/** One bar per phase, with its devices and its time. */
function gantt({ placed, wall }: DeviceSchedule, time: (value: number) => string): string[] {
  const column = (at: number) => Math.round((at / wall) * WIDTH);
  return columns(
    placed.map(({ name, from, devices, start, end }) => [
      name,
      `|${' '.repeat(column(start))}${'#'.repeat(Math.max(1, column(end) - column(start)))}`.padEnd(
        WIDTH + 1,
      ),
      devices === 1 ? `device ${from}` : `devices ${from}-${from + devices - 1}`,
      time(end - start),
    ]),
    3,
  );
}

function notes({ stepsFrom, network: { bandwidth, overlap } }: Asked): string[] {
  if (stepsFrom === null) {
    return [
      'Times are in multiply-accumulates of one device, without gradient exchange;',
      '--measure or --step-ms convert them to hours.',
    ];
  }
  return [
    `Time: ${stepsFrom}, without evaluation. Gradients: ring all-reduce at ${significant(bandwidth / 1e9)} GB/s per device,`,
    `hidden behind ${percent(overlap)} of a micro-batch's time. In use: share of all devices' time spent computing.`,
  ];
}

/** A note if phases cannot use all devices. */
function limit(phases: readonly Phase[], devices: number): string[] {
  const most = Math.max(...phases.map(({ settings }) => settings.accumulate));
  if (most >= devices) return [];
  return [
    `A phase uses at most one device per micro-batch of a step: ${most} here. To use more, lower training.batch_size at the`,
    'same training.total_batch.',
  ];
}

function percent(share: number): string {
  return `${(100 * share).toFixed(0)} %`;
}
