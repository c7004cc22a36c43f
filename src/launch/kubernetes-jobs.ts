import { isAbsolute, join, posix, relative } from 'node:path';
import { stringify } from 'yaml';
import { InputError } from '../base/errors.js';
import { needsOf, type Phase } from '../recipe/phase.js';
import type { Recipe } from '../recipe/recipe-schema.js';

interface KubernetesRun {
  readonly recipe: Recipe;
  readonly runDir: string;
  readonly phases: readonly Phase[];
  /** Options of `phase`. Default: none. */
  readonly flags?: readonly string[];
}

/** Exit codes of a phase that reported why it failed. Trying again does not help. */
const FAILS_FOR_GOOD = [1, 2];

/**
 * Kubernetes objects of a run: the recipe as a ConfigMap, then jobs (batch/v1), one per phase. The modules are an Indexed
 * Job with one pod each. An init container waits until the results of the phases that a phase starts from are on the
 * shared volume. A phase that reports why it failed fails its job; a pod that died, was evicted or preempted is replaced.
 * @throws InputError if the run folder is outside the volume, or the recipe has more than one process per phase
 */
function kubernetesObjects({ recipe, runDir, phases, flags = [] }: KubernetesRun): object[] {
  const { kubernetes, ranks } = recipe.run;
  if (ranks > 1) {
    throw new InputError(`run.ranks ${ranks}: a pod has only one process`, {
      hint: 'set run.ranks to 1, or use --launcher slurm',
    });
  }
  const run = onVolume(runDir, kubernetes.mount);
  const modules = phases.filter(({ name }) => name.startsWith('MT/'));
  const config = {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: metadataOf(recipe, 'recipe'),
    data: { 'recipe.json': `${JSON.stringify(recipe, undefined, 2)}\n` },
  };
  const jobs = phases
    .filter((phase) => !modules.includes(phase) || phase === modules[0])
    .map((phase) => job(recipe, run, phase === modules[0] ? modules : [phase], flags));
  return [config, ...jobs];
}

/** The Kubernetes objects of a run as YAML documents, for `kubectl apply -f -`. */
export function kubernetesYaml(run: KubernetesRun): string {
  return kubernetesObjects(run)
    .map((document) => `---\n${stringify(document, { lineWidth: 0, aliasDuplicateObjects: false })}`)
    .join('');
}

function job(recipe: Recipe, run: string, phases: readonly Phase[], flags: readonly string[]): object {
  const { kubernetes } = recipe.run;
  const isArray = phases[0].name.startsWith('MT/');
  const title = isArray ? 'mt' : phases[0].name.toLowerCase();
  // The pod's index is a position in this list of the modules that are still to train.
  const names = phases.map(({ name }) => name).join(' ');
  const phase = isArray ? 'set -- $PHASES; shift "$JOB_COMPLETION_INDEX"; phase=$1' : 'phase=$PHASES';
  const command = [`deep-incubation phase ${RECIPE}/recipe.json "$phase" --out "$RUN"`, ...flags].join(' ');
  const env = [
    { name: 'RUN', value: run },
    { name: 'PHASES', value: names },
  ];
  const volumeMounts = [{ name: 'run', mountPath: kubernetes.mount }];
  const needs = [...new Set(phases.flatMap(needsOf))];
  const waiting = {
    name: 'needs',
    image: kubernetes.image,
    volumeMounts,
    command: [
      'sh',
      '-c',
      'for need in $NEEDS; do until [ -e "$RUN/$need/result.json" ]; do sleep 10; done; done',
    ],
    env: [...env, { name: 'NEEDS', value: needs.join(' ') }],
  };
  const training = {
    name: 'train',
    image: kubernetes.image,
    workingDir: kubernetes.mount,
    env,
    volumeMounts: [...volumeMounts, { name: 'recipe', mountPath: RECIPE, readOnly: true }],
    command: ['sh', '-c', `${phase}; exec ${command}`],
    resources: resourcesOf(recipe),
  };
  return {
    apiVersion: 'batch/v1',
    kind: 'Job',
    metadata: metadataOf(recipe, title),
    spec: {
      completionMode: 'Indexed',
      completions: phases.length,
      parallelism: phases.length,
      // A module that fails does not end the other modules.
      ...(isArray
        ? { backoffLimitPerIndex: kubernetes.restarts, maxFailedIndexes: phases.length }
        : { backoffLimit: kubernetes.restarts }),
      podFailurePolicy: {
        rules: [
          { action: 'Ignore', onPodConditions: [{ type: 'DisruptionTarget', status: 'True' }] },
          {
            action: isArray ? 'FailIndex' : 'FailJob',
            onExitCodes: { containerName: 'train', operator: 'In', values: FAILS_FOR_GOOD },
          },
        ],
      },
      template: {
        metadata: { labels: labelsOf(recipe) },
        spec: {
          restartPolicy: 'Never',
          // A phase that is asked to stop saves a checkpoint first.
          terminationGracePeriodSeconds: 120,
          ...(needs.length > 0 && { initContainers: [waiting] }),
          containers: [training],
          volumes: [
            { name: 'run', persistentVolumeClaim: { claimName: kubernetes.claim } },
            { name: 'recipe', configMap: { name: metadataOf(recipe, 'recipe').name } },
          ],
        },
      },
    },
  };
}

const RECIPE = '/etc/deep-incubation';

function labelsOf({ name }: Recipe) {
  return { 'app.kubernetes.io/name': 'deep-incubation', 'deep-incubation/run': dnsName(name) };
}

function metadataOf(recipe: Recipe, what: string) {
  const { namespace } = recipe.run.kubernetes;
  const labels = labelsOf(recipe);
  return { name: `${dnsName(recipe.name)}-${what}`, ...(namespace !== undefined && { namespace }), labels };
}

function resourcesOf({ run: { kubernetes } }: Recipe): object {
  const { gpus, cpus, mem } = kubernetes;
  const wishes = { cpu: cpus, memory: mem, 'nvidia.com/gpu': gpus };
  const given = Object.entries(wishes).filter(([, value]) => value !== undefined);
  const limits = Object.fromEntries(given.map(([key, value]) => [key, String(value)]));
  return given.length === 0 ? {} : { requests: limits, limits };
}

/** Path of a run inside a pod. A relative path starts at the volume's root. */
function onVolume(runDir: string, mount: string): string {
  const path = isAbsolute(runDir) ? runDir : join(mount, runDir);
  const inside = relative(mount, path);
  if (inside !== '' && !inside.startsWith('..')) return posix.normalize(path);
  throw new InputError(`${runDir} is outside ${mount}, the volume that the pods share`, {
    hint: 'choose an --out below it, or set run.kubernetes.mount',
  });
}

/** A valid name by RFC 1123, short enough to append a suffix. */
function dnsName(name: string): string {
  const kept = name.toLowerCase().replaceAll(/[^a-z0-9]+/g, '-');
  return kept.slice(0, 50).replaceAll(/^-+|-+$/g, '') || 'run';
}
