/** Applies events to the state of a task. Pure functions, which the pages use too. */

/** @typedef {import("./wire.js").ExecutionStep} ExecutionStep */
/** @typedef {import("./wire.js").LiveUpdate} LiveUpdate */
/** @typedef {import("./wire.js").StepSummary} StepSummary */
/** @typedef {import("./wire.js").TaskEvent} TaskEvent */
/** @typedef {import("./wire.js").TaskState} TaskState */
/** @typedef {TaskState & {steps?: StepSummary[], result?: any, waiting?: any}} ShownTask a task, with its steps where they are shown */

const FINAL = new Set(["COMPLETED", "FAILED", "CANCELLED", "EXPIRED"]);
const TO_START = new Set(["SUBMITTED", "QUEUED", "RETRYING"]);

/** @param {{status?: string}} task @returns {boolean} whether it has ended; only a retry starts it again */
export function isFinal(task) {
  return task.status !== undefined && FINAL.has(task.status);
}

/** @param {TaskState} task @returns {boolean} whether it can be cancelled */
export function isCancellable(task) {
  return !FINAL.has(task.status) && !task.cancel_requested;
}

/** @param {TaskState} task @returns {boolean} whether it can be retried */
export function isRetryable(task) {
  return FINAL.has(task.status) && task.status !== "COMPLETED";
}

/**
 * @template {ShownTask} Shown
 * @param {Shown} task
 * @param {TaskEvent | LiveUpdate} event of this task
 * @returns {Shown} the task after it; the same object if the event is not new
 */
export function applyEvent(task, event) {
  if (event.seq !== undefined && event.seq <= task.last_seq) return task;
  const next = { ...task, attempt: event.attempt ?? task.attempt, last_seq: event.seq ?? task.last_seq };
  // The stored event is unreadable: only its number counts.
  if (event.data["$unreadable"] || event.data["$damaged"]) return next;
  if (event.type === "execution_step") return applyStep(next, event);
  const { progress, message, timestamp, status } = event.data;
  Object.assign(next, { progress, message, updated_at: timestamp });
  if (event.data.cancel_requested) next.cancel_requested = true;
  if (status) {
    Object.assign(next, {
      status,
      error: event.data.error ?? null,
      result: event.data.result ?? null,
      cancel_requested: false,
      finished_at: FINAL.has(status) ? timestamp : null,
    });
    if (status === "IN_PROGRESS") next.started_at ??= timestamp;
    if (next.waiting && !TO_START.has(status)) next.waiting = null;
  }
  return next;
}

/**
 * @param {TaskEvent | LiveUpdate} event
 * @returns {(TaskState & {result: any}) | null} the summary of a task that was just submitted; null for any other event
 */
export function taskOf(event) {
  const { task_id: id, instance_id, type, seq, attempt, data } = event;
  if (type !== "task_update") return null;
  const { kind, title, submitted_by = null, status, progress, message, timestamp } = data;
  if (status !== "SUBMITTED" || !kind) return null;
  return {
    ...{ id, instance_id, kind, title: title ?? "", submitted_by, status, progress, message, attempt, last_seq: seq ?? 0 },
    ...{ created_at: timestamp, updated_at: timestamp, started_at: null, finished_at: null, expires_at: null },
    ...{ cancel_requested: false, error: null, result: null },
  };
}

/**
 * @template {ShownTask} Shown
 * @param {Shown} task
 * @param {ExecutionStep} event
 * @returns {Shown}
 */
function applyStep(task, { task_id, attempt, data }) {
  const { progress, ...step } = data;
  const others = (task.steps ?? []).filter((other) => other.step_id !== step.step_id);
  const steps = [...others, { message: null, error: null, ...step, task_id, attempt }].sort((a, b) => a.position - b.position);
  return { ...task, progress, steps };
}
