/** Time limits and pauses that a caller's signal ends earlier. */

/** Timers end at once when they are given more milliseconds. */
const LONGEST = 2 ** 31 - 1;

/**
 * A time limit, beside a caller's signal. `AbortSignal.timeout` and `AbortSignal.any` do not replace it: Node.js ends while it
 * awaits the first, and some of its versions lose the second to the garbage collector.
 */
export class Deadline {
  #controller = new AbortController();
  #timer;
  #caller;
  #abort;
  /** Whether the time is over. */
  isLate = false;

  /** @param {number | undefined} milliseconds undefined, or more than 24 days: no limit @param {AbortSignal | undefined} caller */
  constructor(milliseconds, caller) {
    this.#caller = caller;
    this.#abort = () => this.#controller.abort(caller?.reason);
    if (caller?.aborted) this.#abort();
    else caller?.addEventListener("abort", this.#abort, { once: true });
    if (milliseconds !== undefined && milliseconds <= LONGEST) this.#timer = setTimeout(() => this.#expire(), milliseconds);
  }

  /** Aborted at the end of the time, or with the caller's signal. */
  get signal() {
    return this.#controller.signal;
  }

  /** Forget the limit: the work is done. */
  clear() {
    clearTimeout(this.#timer);
    this.#caller?.removeEventListener("abort", this.#abort);
  }

  #expire() {
    this.isLate = true;
    this.#controller.abort(new DOMException("the time is over", "TimeoutError"));
  }
}

/**
 * @param {number} milliseconds
 * @param {AbortSignal | undefined} [signal] ends the pause with its reason as the error
 * @returns {Promise<void>}
 */
export function sleep(milliseconds, signal) {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason);
    const abort = () => {
      clearTimeout(timer);
      reject(signal?.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", abort);
      resolve();
    }, milliseconds);
    signal?.addEventListener("abort", abort, { once: true });
  });
}
