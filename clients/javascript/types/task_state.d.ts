/** Applies events to the state of a task. Pure functions, which the pages use too. */
export type ExecutionStep = import("./wire.js").ExecutionStep;
export type LiveUpdate = import("./wire.js").LiveUpdate;
export type StepSummary = import("./wire.js").StepSummary;
export type TaskEvent = import("./wire.js").TaskEvent;
export type TaskState = import("./wire.js").TaskState;
export type ShownTask = TaskState & {
    steps?: StepSummary[];
    result?: any;
    waiting?: any;
};
/** @param {{status?: string}} task @returns {boolean} whether it has ended; only a retry starts it again */
export declare function isFinal(task: {
    status?: string;
}): boolean;
/** @param {TaskState} task @returns {boolean} whether it can be cancelled */
export declare function isCancellable(task: TaskState): boolean;
/** @param {TaskState} task @returns {boolean} whether it can be retried */
export declare function isRetryable(task: TaskState): boolean;
/**
 * @template {ShownTask} Shown
 * @param {Shown} task
 * @param {TaskEvent | LiveUpdate} event of this task
 * @returns {Shown} the task after it; the same object if the event is not new
 */
export declare function applyEvent<Shown extends ShownTask>(task: Shown, event: TaskEvent | LiveUpdate): Shown;
/**
 * @param {TaskEvent | LiveUpdate} event
 * @returns {(TaskState & {result: any}) | null} the summary of a task that was just submitted; null for any other event
 */
export declare function taskOf(event: TaskEvent | LiveUpdate): (TaskState & {
    result: any;
}) | null;
