/**
 * While any of its promises is pending, Dawn's binding for Node asks for finished work on every turn of the event
 * loop: a core spins, which a software driver needs (https://github.com/dawn-gpu/node-webgpu/issues/17). This lets it
 * ask once a millisecond. The binding looks setImmediate up each time and passes a native function with neither name
 * nor parameters, as nothing else does: a promise's resolve has one parameter, a bound function has a name. Delete this once
 * the binding waits for work instead.
 */
export function easeDawnPolling(): void {
  const immediate = globalThis.setImmediate;
  const eased = (callback: (...args: unknown[]) => void, ...args: unknown[]) =>
    isDawns(callback) ? setTimeout(callback, 1) : immediate(callback, ...args);
  globalThis.setImmediate = Object.defineProperties(
    eased,
    Object.getOwnPropertyDescriptors(immediate),
  ) as unknown as typeof setImmediate;
}

function isDawns(callback: (...args: unknown[]) => void): boolean {
  const isAnonymous = callback.name === '' && callback.length === 0;
  return isAnonymous && Function.prototype.toString.call(callback).includes('[native code]');
}
