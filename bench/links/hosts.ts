import { spawnSync } from 'node:child_process';
import { RunError } from '../../src/base/errors.js';

const LINK = 'di0';

/** A simulated machine: a network namespace with one end of the link. */
export interface Host {
  readonly name: string;
  readonly address: string;
}

/** Two machines and the link between them. */
export interface Hosts {
  readonly both: readonly [Host, Host];
  /** Limits each direction of the link to a rate in Mbit/s. */
  limit(megabits: number): void;
  /** Bytes that the first host has sent over the link so far. */
  sentBytes(): number;
  remove(): void;
}

/** Command and arguments that run `command` on a host, on one core. */
export function onHost(host: Host, core: number, command: readonly string[]): [string, string[]] {
  return ['ip', ['netns', 'exec', host.name, 'taskset', '-c', String(core), ...command]];
}

/** Variables by which the ranks of a group find each other over the link. */
export function rankEnvironment([first]: Hosts['both'], rank: number, port: number): NodeJS.ProcessEnv {
  return {
    MASTER_ADDR: first.address,
    MASTER_PORT: String(port),
    GLOO_SOCKET_IFNAME: LINK,
    WORLD_SIZE: '2',
    RANK: String(rank),
    LOCAL_RANK: '0',
  };
}

/** @throws RunError if this machine allows no network namespaces, or has no `ip` and `tc` (iproute2) */
export function makeHosts(): Hosts {
  const [a, b] = ['a', 'b'].map((end, i) => ({
    name: `di-links-${end}-${process.pid}`,
    address: `10.214.0.${i + 1}`,
  }));
  const remove = () => [a, b].forEach(({ name }) => void spawnSync('ip', ['netns', 'del', name]));
  try {
    for (const { name } of [a, b]) command('ip', 'netns', 'add', name);
    command(
      ...['ip', 'link', 'add', LINK, 'netns', a.name, 'type', 'veth', 'peer', 'name', LINK],
      ...['netns', b.name],
    );
    for (const { name, address } of [a, b]) {
      command('ip', '-n', name, 'address', 'add', `${address}/24`, 'dev', LINK);
      command('ip', '-n', name, 'link', 'set', 'lo', 'up');
      command('ip', '-n', name, 'link', 'set', LINK, 'up');
    }
  } catch (error) {
    remove();
    throw error;
  }
  return {
    both: [a, b],
    remove,
    limit(megabits) {
      // A token bucket must hold at least what the rate delivers between two timer ticks.
      const bucket = Math.max(32_000, Math.round((megabits * 1e6) / 8 / 250));
      for (const { name } of [a, b]) {
        command(
          ...['tc', '-n', name, 'qdisc', 'replace', 'dev', LINK, 'root', 'tbf'],
          ...['rate', `${megabits}mbit`, 'burst', String(bucket), 'latency', '100ms'],
        );
      }
    },
    sentBytes() {
      const [link] = JSON.parse(command('ip', '-n', a.name, '-s', '-j', 'link', 'show', LINK));
      return link.stats64.tx.bytes;
    },
  };
}

function command(name: string, ...args: readonly string[]): string {
  const { status, stdout, stderr, error } = spawnSync(name, args, { encoding: 'utf8' });
  if (status === 0) return stdout;
  throw new RunError(`${name} ${args.join(' ')} failed: ${error?.message ?? stderr.trim()}`, {
    hint: 'this bench needs root, network namespaces, and ip and tc of iproute2',
  });
}
