/** Time limits and pauses that a caller's signal ends earlier. */
/**
 * A time limit, beside a caller's signal. `AbortSignal.timeout` and `AbortSignal.any` do not replace it: Node.js ends while it
 * awaits the first, and some of its versions lose the second to the garbage collector.
 */
export declare class Deadline {
    #private;
    /** Whether the time is over. */
    isLate: boolean;
    /** @param {number | undefined} milliseconds undefined, or more than 24 days: no limit @param {AbortSignal | undefined} caller */
    constructor(milliseconds: number | undefined, caller: AbortSignal | undefined);
    /** Aborted at the end of the time, or with the caller's signal. */
    get signal(): AbortSignal;
    /** Forget the limit: the work is done. */
    clear(): void;
}
/**
 * @param {number} milliseconds
 * @param {AbortSignal | undefined} [signal] ends the pause with its reason as the error
 * @returns {Promise<void>}
 */
export declare function sleep(milliseconds: number, signal?: AbortSignal | undefined): Promise<void>;
