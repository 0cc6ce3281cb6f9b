// A result of the comparison as text in the address, so that a link shares it.

/** What a link holds of a net: steps per second, then the final losses. */
const FIGURES = [
  ['wgrad', 'loop'], ['tensorflow', 'loop'], ['wgrad', 'fit'], ['tensorflow', 'fit'], ['wholeStep', 'loop'], ['wholeStep', 'fit'],
];
const short = (number) => Number(number.toPrecision(4));

/** The result that `compare` resolves to, as an address's hash. */
export function toHash({ adapter, tensorflow, rounds, nets }) {
  const all = new URLSearchParams({ adapter, tensorflow, rounds });
  for (const net of nets) {
    const speeds = FIGURES.map(([who, way]) => (net[who] ? short(net[who][way].median) : ''));
    const losses = [net.wgrad.loss, net.tensorflow.loss].map((loss) => Number(loss.toPrecision(7)));
    all.append('net', [net.net, net.batch, ...speeds, ...losses].join(','));
  }
  return `#${all}`;
}

/** The result in a hash, in the form of `compare`'s without least and most; null if it makes no sense. */
export function fromHash(hash) {
  const given = new URLSearchParams(hash.replace(/^#/, ''));
  const nets = given.getAll('net').slice(0, 10).map(readNet);
  const adapter = (given.get('adapter') ?? '').slice(0, 120);
  const rounds = Number(given.get('rounds'));
  if (nets.length === 0 || nets.includes(null) || adapter === '' || !Number.isInteger(rounds)) return null;
  return { adapter, tensorflow: (given.get('tensorflow') ?? '').slice(0, 20), rounds, nets, isShared: true };
}

function readNet(text) {
  const [net, batch, ...rest] = text.split(',');
  if (!/^\d+(-\d+)+$/.test(net) || rest.length !== FIGURES.length + 2) return null;
  const numbers = rest.map((item) => (item === '' ? null : Number(item)));
  const [wgradLoss, tensorflowLoss] = numbers.splice(FIGURES.length);
  const needed = [Number(batch), ...numbers.slice(0, 4)];
  if (!needed.every((number) => number > 0 && Number.isFinite(number))) return null;
  if (!numbers.every((number) => number === null || Number.isFinite(number))) return null;
  if (![wgradLoss, tensorflowLoss].every(Number.isFinite)) return null;
  const made = { net, batch: Number(batch), wgrad: { loss: wgradLoss }, tensorflow: { loss: tensorflowLoss } };
  FIGURES.forEach(([who, way], i) => {
    if (numbers[i] !== null) (made[who] ??= {})[way] = { median: numbers[i] };
  });
  if (made.wholeStep && !(made.wholeStep.loop && made.wholeStep.fit)) delete made.wholeStep;
  return made;
}
